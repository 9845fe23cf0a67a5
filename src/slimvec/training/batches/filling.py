"""How much there is to tell apart in a batch: its pairs, and the negatives that each of them meets.

No text comes twice in a batch, and texts of one group are not negatives for each other. So records that repeat their
texts make batches smaller than asked for, down to a single pair without any negative, whose loss is 0 whatever the
model does. That is known before the first step, and said.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.frozen import Frozen
from slimvec.training.batches.deals import even_steps
from slimvec.training.batches.plan import BatchPlan
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import NGrams

_MOST_EMPTY = 0.5


@dataclass(frozen=True)
class BatchContrasts:
    """What a batch holds.

    Attributes:
        pairs: B.
        negatives: That the pairs meet, added up: positives of others, and their own.
        alone: Pairs that meet none.
    """

    pairs: int
    negatives: int
    alone: int


class Contrasts:
    """Counts the negatives in batches of records.

    Args:
        records: N of them.
        recipe: Says how many negatives of each are used.
    """

    def __init__(self, records: Sequence[Record], recipe: Recipe) -> None:
        limit = recipe.batch.negatives
        self._own = np.array([min(len(r.negatives) + len(r.contrasts), limit) for r in records], dtype=np.int64)
        numbers: dict[tuple[str, str], int] = {}
        self._groups = np.array(
            [
                -1 - place if r.group is None else numbers.setdefault((r.source, r.group), len(numbers))
                for place, r in enumerate(records)
            ],
            dtype=np.int64,
        )

    def of(self, indices: Sequence[int]) -> BatchContrasts:
        """Count those of a batch, given as numbers of its records."""
        chosen = np.asarray(indices, dtype=np.int64)
        _, place, sizes = np.unique(self._groups[chosen], return_inverse=True, return_counts=True)
        met = len(chosen) - sizes[place] + self._own[chosen]
        return BatchContrasts(len(chosen), int(met.sum()), int((met == 0).sum()))


class Filling(Frozen):
    """The batches of an epoch.

    Attributes:
        asked: Pairs a batch, by the recipe.
        batches: How many.
        pairs: Mean of a batch.
        negatives: Mean that a pair meets.
        small: Batches of under half of the pairs asked for.
        empty: Batches in which most pairs meet no negative.
    """

    asked: int
    batches: int
    pairs: float
    negatives: float
    small: int
    empty: int

    @classmethod
    def of(cls, plan: BatchPlan, contrasts: Contrasts) -> "Filling":
        """Count over the first epoch of a plan."""
        found = [contrasts.of(batch.tolist()) for batch in plan.epoch(0)]
        pairs = sum(batch.pairs for batch in found)
        return cls(
            asked=plan.batch_size,
            batches=len(found),
            pairs=pairs / len(found),
            negatives=sum(batch.negatives for batch in found) / pairs,
            small=sum(batch.pairs < plan.batch_size / 2 for batch in found),
            empty=sum(batch.alone > batch.pairs / 2 for batch in found),
        )

    def __str__(self) -> str:
        """Say it in a line."""
        small = f"; {self.small:,} of {self.batches:,} batches hold under half of that" if self.small else ""
        return f"{self.pairs:.1f} pairs a step of {self.asked:,} asked, {self.negatives:.1f} negatives a pair{small}"


class TargetFilling(Frozen):
    """The steps of an epoch in which targets are written for queries.

    Attributes:
        steps: How many.
        queries: Mean of a step.
        targets: Mean of a step.
        tokens: Most of a target.
        records: How many there are.
        plain: Records that are plain texts.
        titled: Records with a title.
    """

    steps: int
    queries: float
    targets: float
    tokens: int
    records: int
    plain: int
    titled: int

    @classmethod
    def of(cls, records: Sequence[Record], settings: NGrams) -> "TargetFilling":
        """Count over an epoch."""
        steps = even_steps(len(records), settings.queries)
        queries = len(records) / steps
        return cls(
            steps=steps,
            queries=queries,
            targets=queries * settings.targets,
            tokens=settings.tokens,
            records=len(records),
            plain=sum(map(is_plain, records)),
            titled=sum(bool(record.titles) for record in records),
        )

    def __str__(self) -> str:
        """Say it in a line."""
        kinds = ((self.plain, "are plain texts"), (self.titled, "have titles"))
        parts = "".join(f"; {number:,} of {self.records:,} records {what}" for number, what in kinds if number)
        return f"{self.queries:.1f} queries a step, {self.targets:.1f} targets of up to {self.tokens} tokens{parts}"


def is_plain(record: Record) -> bool:
    """Whether a record is a plain text, as `slimvec.training.batches.sources` reads them."""
    return record.positives == (record.query,)


def check_filling(filling: Filling, records: Sequence[Record], recipe: Recipe) -> None:
    """Refuse data whose batches mostly teach nothing. A teacher's scores or vectors teach without negatives too.

    Raises:
        InputError: most batches hold pairs without negatives.
    """
    if recipe.loss.distill is not None or filling.empty <= _MOST_EMPTY * filling.batches:
        return
    texts = Counter(text for record in records for text in {record.query, *record.positives})
    text, count = texts.most_common(1)[0]
    raise InputError(
        f"{filling.empty:,} of {filling.batches:,} batches hold pairs without any negative, whose loss is 0: no text "
        f"may come twice in a batch, and {count:,} of {len(records):,} records hold {text[:40]!r}",
        expected=f"records that differ, {filling.asked:,} to a batch",
        do="remove those that repeat a text (slimvec clean), or give them negatives (slimvec mine)",
    )
