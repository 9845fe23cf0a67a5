"""Which examples make up which step: fixed by (seed, epoch), so that a run can go on at any step.

Within an epoch every example comes exactly once, and within a batch no text comes twice, neither as query nor as
positive: a repeated text would be a false negative. Batches are of equal size to within one example, so that no epoch
ends in a batch too small to hold negatives; only examples that repeat a text more often than there are batches
spill over into further, smaller batches.
"""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.training.text_ids import text_ids


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


@dataclass
class BatchPlan:
    """Batches of every step of a run.

    Args:
        keys: By example, the ids of the texts that must not meet in a batch.
        batch_size: Examples a batch, at most.
        seed: Of the order.

    Raises:
        InputError: fewer than two examples, which leave nothing to tell apart.
    """

    keys: Sequence[frozenset[int]]
    batch_size: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _batches: list[list[int]] = field(default_factory=list, init=False)
    _sizes: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Check that there is something to plan."""
        if len(self.keys) < 2:
            raise InputError(f"{len(self.keys)} training pairs", expected="at least 2, so that there are negatives")

    @classmethod
    def of(cls, records: Iterable[Record], *, batch_size: int, seed: int) -> "BatchPlan":
        """Plan batches of records, kept apart by their queries and positives."""
        keys = [frozenset(text_ids((record.query, *record.positives))) for record in records]
        return cls(keys, batch_size, seed)

    def epoch(self, number: int) -> list[list[int]]:
        """Give the batches of an epoch, counted from 0, as example numbers."""
        if number != self._epoch:
            self._epoch, self._batches = number, self._deal(number)
        return self._batches

    def step(self, number: int) -> "PlannedBatch":
        """Give the batch of a step, counted from 0 over all epochs."""
        step = number
        epoch = 0
        while number >= self.epoch_length(epoch):
            number -= self.epoch_length(epoch)
            epoch += 1
        indices = self.epoch(epoch)[number]
        return PlannedBatch(step, epoch, (number + 1) / self.epoch_length(epoch), tuple(indices))

    def epoch_length(self, number: int) -> int:
        """Count the batches of an epoch; epochs can differ where texts repeat often."""
        while len(self._sizes) <= number:
            self._sizes.append(len(self.epoch(len(self._sizes))))
        return self._sizes[number]

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many epochs."""
        return sum(self.epoch_length(epoch) for epoch in range(epochs))

    def _deal(self, epoch: int) -> list[list[int]]:
        """Shuffle the examples and deal them out; one that repeats a text of the open batch waits for the next."""
        order = list(range(len(self.keys)))
        random.Random(f"{self.seed}/{epoch}").shuffle(order)
        coming, waiting = deque(order), deque[int]()
        batches: list[list[int]] = []
        for size in self._batch_sizes():
            batches.append(self._fill(size, waiting, coming))
        while coming or waiting:
            batches.append(self._fill(self.batch_size, waiting, coming))
        return [batch for batch in batches if batch]

    def _batch_sizes(self) -> list[int]:
        """Share the examples out over as few batches as hold them, the larger ones first."""
        num_batches = -(-len(self.keys) // self.batch_size)
        small, num_larger = divmod(len(self.keys), num_batches)
        return [small + (number < num_larger) for number in range(num_batches)]

    def _fill(self, size: int, waiting: deque[int], coming: deque[int]) -> list[int]:
        """Take examples that share no text: those that wait first, then new ones. What is refused waits, in order."""
        batch: list[int] = []
        taken: set[int] = set()
        refused: list[int] = []
        while len(batch) < size and (waiting or coming):
            candidate = waiting.popleft() if waiting else coming.popleft()
            if taken.isdisjoint(self.keys[candidate]):
                batch.append(candidate)
                taken |= self.keys[candidate]
            else:
                refused.append(candidate)
        waiting.extendleft(reversed(refused))
        return batch
