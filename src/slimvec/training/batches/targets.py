"""What a record holds beside its texts for a loss to aim at: grades and a teacher's scores."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.objectives.settings import RECORDS
from slimvec.training.recipe import Loss

PAIR, GRADED = 0, 1
"""Kinds of records: the positive answers the query, or is as like it as its score says."""


def record_kinds(records: Sequence[Record], loss: Loss) -> list[int]:
    """Tell graded pairs from the others, and check that the loss fits what there is.

    A source is graded when each of its records has one positive, no negative and a score from 0 to 1. A single record
    of that form among others has merely lost its negatives.

    Args:
        records: All of a run.
        loss: Whether it takes graded pairs, and learns from scores.

    Returns:
        `PAIR` or `GRADED` for each record.

    Raises:
        InputError: graded pairs that the loss has no use for, or a loss whose pairs or scores are missing.
    """
    forms: dict[str, bool] = defaultdict(lambda: True)
    for record in records:
        forms[record.source] &= _has_grade(record)
    graded = [source for source, is_graded in forms.items() if is_graded]
    if graded and loss.graded is None:
        raise InputError(
            f"source {graded[0]!r} has nothing but graded pairs: one positive and its score",
            expected="a loss for them",
            do="set loss.graded={}, or leave the scores out if every positive answers its query",
        )
    if loss.graded is not None and not graded:
        raise InputError(
            "loss.graded without graded pairs",
            expected="a source whose records have one positive, no negatives and one score from 0 to 1",
        )
    kinds = [GRADED if forms[record.source] else PAIR for record in records]
    _check_scores(records, kinds, loss)
    return kinds


def target_scores(records: Sequence[Record], positives: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Give the teacher's scores of what each record brings into a batch.

    Args:
        records: B of them.
        positives: Which positive of each is taken.
        counts: How many of its negatives, the first ones.

    Returns:
        [B, 1 + K] float32, the positive's then the negatives'; NaN where there is none.
    """
    found = torch.full((len(records), 1 + max(counts, default=0)), torch.nan)
    for row, (record, positive, count) in enumerate(zip(records, positives, counts, strict=True)):
        if record.scores:
            first = len(record.positives)
            chosen = (record.scores[positive], *record.scores[first : first + count])
            found[row, : len(chosen)] = torch.tensor(chosen)
    return found


def target_grades(records: Sequence[Record], kinds: Sequence[int]) -> Tensor:
    """Give the grades of graded pairs: [B] float32, NaN for the others."""
    grades = [r.scores[0] if kind == GRADED else torch.nan for r, kind in zip(records, kinds, strict=True)]
    return torch.tensor(grades, dtype=torch.float32)


def _has_grade(record: Record) -> bool:
    """Whether a record has the form of a graded pair."""
    return len(record.positives) == len(record.scores) == 1 and not record.negatives and 0 <= record.scores[0] <= 1


def _check_scores(records: Sequence[Record], kinds: Sequence[int], loss: Loss) -> None:
    """See that a loss that learns from the records' scores finds some.

    Raises:
        InputError: none has scores of several texts.
    """
    if loss.distill is None or loss.distill.teacher != RECORDS:
        return
    if not any(record.scores and record.negatives for record, kind in zip(records, kinds, strict=True) if kind == PAIR):
        raise InputError(
            "loss.distill.teacher=records, but no record has scores and negatives",
            expected="a score for each positive and each negative",
            do="add scores to the data, or name a model as teacher",
        )
