"""What is known of the records of a run beside their texts: groups, answers, grades, a teacher's scores."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id, text_ids
from slimvec.errors import InputError
from slimvec.objectives.batch import NO_GROUP
from slimvec.objectives.settings import RECORDS
from slimvec.training.recipe import Loss

PAIR, GRADED = 0, 1
"""Kinds of records: the positive answers the query, or is as like it as its score says."""


class Groups:
    """The groups of records, and of the texts they hold.

    A group counts within its source. A mined negative is in the group of the records of its source whose query or
    positive it is, of several in the first one's; class examples are queries once each, so theirs are all known.

    Args:
        records: All of a run.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._groups: dict[tuple[str, int], int] = {}
        for record in records:
            if record.group is not None:
                number = _group_id(record)
                for text in (record.query, *record.positives):
                    self._groups.setdefault((record.source, text_id(text)), number)

    def ids(self, records: Sequence[Record], mined: Sequence[Sequence[str]]) -> Tensor | None:
        """Number the groups of what B records bring into a batch.

        Args:
            records: B of them.
            mined: The negatives taken of each.

        Returns:
            [N] int64, of B queries, B positives, then the negatives record by record, equal for texts of one group
            and `NO_GROUP` for those without; None when the run has no groups.
        """
        if not self._groups:
            return None
        own = [_group_id(record) for record in records]
        negatives = [
            self._groups.get((record.source, text_id(text)), NO_GROUP)
            for record, texts in zip(records, mined, strict=True)
            for text in texts
        ]
        return torch.tensor([*own, *own, *negatives], dtype=torch.int64)


def _group_id(record: Record) -> int:
    """Give a number that is equal for one group of one source: 63 bits, the same in every process."""
    if record.group is None:
        return NO_GROUP
    named = f"{record.source}\0{record.group}".encode()
    return int.from_bytes(blake2b(named, digest_size=8).digest(), "big") >> 1


class KnownAnswers:
    """The positives of each query, those of other records with the same query among them.

    Only queries with several are kept: the positive of the others is in the batch with them.

    Args:
        records: All of a run.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        found: dict[int, tuple[int, ...]] = {}
        for record in records:
            query = text_id(record.query)
            found[query] = tuple(dict.fromkeys((*found.get(query, ()), *text_ids(record.positives))))
        self._answers = {query: answers for query, answers in found.items() if len(answers) > 1}

    def ids(self, queries: Sequence[int], positives: Sequence[int]) -> Tensor | None:
        """Name the answers of B queries.

        Args:
            queries: Their ids.
            positives: Ids of the positives that are drawn.

        Returns:
            [B, P] int64, as in `EmbeddedBatch.answer_ids`; None where no query has several.
        """
        known = [self._answers.get(query, ()) for query in queries]
        count = max(map(len, known), default=0)
        if not count:
            return None
        rows = [(*answers, *[own] * (count - len(answers))) for answers, own in zip(known, positives, strict=True)]
        return torch.tensor(rows, dtype=torch.int64)


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
