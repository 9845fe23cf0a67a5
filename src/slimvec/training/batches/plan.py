"""Which examples make up which step: fixed by (seed, epoch), so that a run can go on at any step.

Without weights every example comes exactly once an epoch (dealing.py: what weights change), and within a
batch no text comes twice, neither as query nor as positive: a repeated text would be a false negative.

Batches can be made alike, semi-homogeneous as KaLM-Embedding has them (arXiv 2501.01028): first each batch is of one
group, say one task; then the share 1 - homogeneous of every batch is put into one pool, shuffled and dealt back.
Examples of different kinds, which a loss treats differently, never meet in a batch.

Batches are of equal size to within one example in each group, and hold at least half of what they may: groups too
small for that are put together. Only examples that repeat a text more often than there are batches spill over into
further, smaller batches at the end of the epoch.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimvec.data.records import Record
from slimvec.data.text_ids import text_ids
from slimvec.errors import InputError
from slimvec.training.batches.dealing import Dealer, OpenBatch, SourceMix, TextKeys
from slimvec.training.batches.deals import shuffled

IntArray = NDArray[np.int64]

GROUPS: dict[str, Callable[[Record], str | None]] = {
    "task": lambda record: record.task,
    "source": lambda record: record.source,
    "language": lambda record: record.language,
}
"""What batches can be made alike by."""


@dataclass(frozen=True)
class PlannedBatch:
    """What a step takes in.

    Attributes:
        step: Number of the step, from 0 over all epochs.
        epoch: Number of the epoch, from 0.
        epoch_share: How much of the epoch is done after it, above 0 up to 1.
        indices: Numbers of its examples.
    """

    step: int
    epoch: int
    epoch_share: float
    indices: tuple[int, ...]

    def slice(self, rank: int, num_ranks: int) -> tuple[int, ...]:
        """Give the examples of one of several processes: a row of neighbours, equally many to within one."""
        begin, end = (len(self.indices) * number // num_ranks for number in (rank, rank + 1))
        return self.indices[begin:end]


@dataclass(frozen=True, eq=False)
class Examples:
    """What a plan knows of N examples.

    Attributes:
        texts: Those that must not meet in a batch.
        groups: [N], number of the group by which batches are made alike.
        kinds: [N], number of the kind; kinds never meet in a batch.
        sources: [N], number of the source.
    """

    texts: TextKeys
    groups: IntArray
    kinds: IntArray
    sources: IntArray

    @classmethod
    def of(
        cls,
        records: Sequence[Record],
        *,
        group_by: str = "task",
        kinds: IntArray | None = None,
        sources: IntArray | None = None,
    ) -> "Examples":
        """Describe records, kept apart by their queries and positives.

        Args:
            records: N of them.
            group_by: One of `GROUPS`.
            kinds: Default all of one kind.
            sources: Default all of one source.
        """
        numbers: dict[str | None, int] = {}
        groups = [numbers.setdefault(GROUPS[group_by](record), len(numbers)) for record in records]
        nothing = np.zeros(len(records), dtype=np.int64)
        return cls(
            TextKeys.of(text_ids((record.query, *record.positives)) for record in records),
            np.array(groups, dtype=np.int64),
            nothing if kinds is None else kinds,
            nothing if sources is None else sources,
        )


@dataclass
class BatchPlan:
    """Batches of every step of a run.

    Args:
        examples: To be batched.
        batch_size: Examples a batch, at most.
        seed: Random seed for the order.
        homogeneous: Share of each batch that is of one group, 0 to 1; the rest comes from all groups, which adds to
            it by chance.
        weights: Weights of each source; default alike.
        temperature: Temperature of the mix of sources.

    Raises:
        InputError: fewer than two examples, which leave nothing to tell apart.
    """

    examples: Examples
    batch_size: int
    seed: int
    homogeneous: float = 0.0
    weights: Sequence[float] = ()
    temperature: float = 1.0
    _epoch: int = field(default=-1, init=False)
    _batches: list[IntArray] = field(default_factory=list, init=False)
    _sizes: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Check that there is something to plan."""
        num_examples = len(self.examples.texts)
        if num_examples < 2:
            raise InputError(f"{num_examples} training pairs", expected="at least 2, so that there are negatives")
        weights = self.weights or [1.0] * (1 + int(self.examples.sources.max()))
        self._mix = SourceMix.of(self.examples.sources, weights=weights, temperature=self.temperature, seed=self.seed)
        # One that is drawn twice an epoch must not meet itself.
        self._keys = self.examples.texts.shared() if self._mix.once_each else self.examples.texts

    @classmethod
    def of(
        cls,
        records: Sequence[Record],
        *,
        batch_size: int,
        seed: int,
        group_by: str = "task",
        kinds: IntArray | None = None,
        sources: IntArray | None = None,
        **settings: Any,
    ) -> "BatchPlan":
        """Plan batches of records: arguments as for `Examples.of` and for this class."""
        examples = Examples.of(records, group_by=group_by, kinds=kinds, sources=sources)
        return cls(examples, batch_size, seed, **settings)

    def epoch(self, number: int) -> list[IntArray]:
        """Give the batches of an epoch, counted from 0, as example numbers."""
        if number != self._epoch:
            self._epoch, self._batches = number, self._deal(number)
        return self._batches

    def step(self, number: int) -> PlannedBatch:
        """Give the batch of a step, counted from 0 over all epochs."""
        step = number
        epoch = 0
        while number >= self.epoch_length(epoch):
            number -= self.epoch_length(epoch)
            epoch += 1
        indices = self.epoch(epoch)[number]
        return PlannedBatch(step, epoch, (number + 1) / self.epoch_length(epoch), tuple(indices.tolist()))

    def epoch_length(self, number: int) -> int:
        """Count the batches of an epoch; epochs can differ where texts repeat often."""
        while len(self._sizes) <= number:
            self._sizes.append(len(self.epoch(len(self._sizes))))
        return self._sizes[number]

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many epochs."""
        return sum(self.epoch_length(epoch) for epoch in range(epochs))

    def digest(self) -> str:
        """Fingerprint what all batches follow from, and those of the first epoch: equal plans have equal ones."""
        found = hashlib.sha256(repr((self.batch_size, self.seed, self.homogeneous)).encode())
        for array in (self._keys.starts, self._keys.numbers, self.examples.groups, self.examples.kinds):
            found.update(array.tobytes())
        for array in (*self._mix.members, *self.epoch(0)):
            found.update(array.tobytes())
        found.update(self._mix.per_epoch.tobytes())
        return found.hexdigest()

    def _deal(self, epoch: int) -> list[IntArray]:
        """Deal out the draws of an epoch, kind by kind, and shuffle the batches."""
        draws = self._mix.draws(epoch)
        batches, spilt = [], []
        for kind in np.unique(self.examples.kinds):
            whole, further = self._deal_kind(draws[self.examples.kinds[draws] == kind], epoch, int(kind))
            batches += whole
            spilt += further
        order = shuffled(np.arange(len(batches)), self.seed, "batches", epoch)
        return [np.array(batch.examples, dtype=np.int64) for batch in [*(batches[i] for i in order), *spilt]]

    def _deal_kind(self, draws: IntArray, epoch: int, kind: int) -> tuple[list[OpenBatch], list[OpenBatch]]:
        """Deal out draws of one kind; give the batches, and those that texts which repeat too often spill into."""
        groups = self._split(draws)
        sizes = [_even_sizes(len(group), self.batch_size) for group in groups]
        kept = iter(self._kept([size for of_group in sizes for size in of_group]))
        batches: list[OpenBatch] = []
        pool: list[int] = []
        for number, (group, of_group) in enumerate(zip(groups, sizes, strict=True)):
            dealer = Dealer(self._keys, shuffled(group, self.seed, "group", epoch, kind, number).tolist())
            for size in of_group:
                batches.append(OpenBatch(size))
                dealer.fill(batches[-1], next(kept))
            pool += dealer.rest()
        order = shuffled(np.array(pool, dtype=np.int64), self.seed, "pool", epoch, kind)
        dealer = Dealer(self._keys, order.tolist())
        for batch in batches:
            dealer.fill(batch, batch.size)
        spilt = []
        while dealer:
            spilt.append(OpenBatch(self.batch_size))
            dealer.fill(spilt[-1], self.batch_size)
        return [batch for batch in batches if batch.examples], spilt

    def _split(self, draws: IntArray) -> list[IntArray]:
        """Split draws by group; groups that do not fill half a batch are put together."""
        if not self.homogeneous:
            return [draws]
        groups = self.examples.groups[draws]
        parts = sorted((draws[groups == group] for group in np.unique(groups)), key=len)
        rest: list[IntArray] = []
        while parts and (len(parts[0]) < self.batch_size / 2 or 0 < sum(map(len, rest)) < self.batch_size / 2):
            rest.append(parts.pop(0))
        return [*([np.concatenate(rest)] if rest else []), *parts]

    def _kept(self, sizes: Sequence[int]) -> list[int]:
        """Give the examples of each batch that stay in their group; rounded so that the share is right over all."""
        bounds = np.rint(self.homogeneous * np.cumsum([0, *sizes])).astype(int)
        return [int(kept) for kept in np.diff(bounds)]


def _even_sizes(num_examples: int, most: int) -> list[int]:
    """Share examples out over as few batches as hold them, the larger ones first."""
    num_batches = -(-num_examples // most)
    if not num_batches:
        return []
    small, num_larger = divmod(num_examples, num_batches)
    return [small + (number < num_larger) for number in range(num_batches)]
