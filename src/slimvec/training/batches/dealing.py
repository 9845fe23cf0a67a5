"""Dealing examples out to batches so that no text comes twice in one: a repeated text would be a false negative.

How often each source is drawn from: in full once an epoch, or by weights and a temperature.

With n_s records in source s, N in all, its weight w_s (default 1) and the temperature T (default 1), source s has the
share  p_s = w_s n_s^(1/T) / sum_r w_r n_r^(1/T)  of all draws (temperature sampling as in mBERT and mT5, arXiv
2010.11934, section 3.2). An epoch is N draws. Each source is drawn from in permutations of its own, one after the
other, so that none of its records comes for the (k+2)th time before all of them came k+1 times. With equal weights
and T = 1 an epoch is exactly one permutation of each source: every record once.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slimvec.training.batches.deals import shuffled

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SourceMix:
    """Draws of every epoch.

    Attributes:
        members: By source, the numbers of its records.
        per_epoch: [S] float64, draws from each source an epoch; their sum is the number of records.
        seed: Random seed for the permutations.
    """

    members: tuple[IntArray, ...]
    per_epoch: NDArray[np.float64]
    seed: int

    @classmethod
    def of(cls, sources: IntArray, *, weights: Sequence[float], temperature: float, seed: int) -> "SourceMix":
        """Mix the records of some sources.

        Args:
            sources: [N], number of each record's source, below S.
            weights: [S], above 0. At temperature 1, records of weight 2 come twice as often as those of weight 1.
            temperature: 1 draws by size, infinity from all sources alike but for their weights.
            seed: Random seed for the permutations.
        """
        members = tuple(np.flatnonzero(sources == number) for number in range(len(weights)))
        sizes = np.array([len(numbers) for numbers in members], dtype=np.float64)
        shares = np.asarray(weights, dtype=np.float64) * np.where(sizes > 0, sizes ** (1 / temperature), 0.0)
        return cls(members, len(sources) * shares / shares.sum(), seed)

    @property
    def once_each(self) -> bool:
        """Whether every epoch has every record exactly once."""
        return np.allclose(self.per_epoch, [len(numbers) for numbers in self.members], rtol=1e-12, atol=0.0)

    def draws(self, epoch: int) -> IntArray:
        """Give the records of an epoch, counted from 0, source after source in the order they are drawn.

        Their number is that of the records, up to one draw a source: shares are rounded over all epochs together.
        """
        parts = []
        for number in range(len(self.members)):
            begin, end = (round(float(self.per_epoch[number]) * count) for count in (epoch, epoch + 1))
            parts += self._drawn(number, begin, end)
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def _drawn(self, source: int, begin: int, end: int) -> list[IntArray]:
        """Give the draws numbered `begin` to `end`, counted over all epochs, from the source's permutations."""
        members = self.members[source]
        parts = []
        while begin < end:
            turn, offset = divmod(begin, len(members))
            part = shuffled(members, self.seed, "source", source, turn)[offset : offset + end - begin]
            parts.append(part)
            begin += len(part)
        return parts


@dataclass(frozen=True, eq=False)
class TextKeys:
    """Which texts each of N examples holds.

    Attributes:
        starts: [N + 1], where the texts of each example begin in `numbers`.
        numbers: Numbers of the texts, example after example; equal for equal texts, from 0, none twice in an example.
    """

    starts: IntArray
    numbers: IntArray

    @classmethod
    def of(cls, texts: Iterable[Iterable[int]]) -> "TextKeys":
        """Build from the text ids of each example, which are equal for equal texts."""
        ids, counts = array("q"), array("q")
        for held in texts:
            before = len(ids)
            ids.extend(held)
            counts.append(len(ids) - before)
        owners = np.repeat(np.arange(len(counts)), np.frombuffer(counts, dtype=np.int64))
        distinct, inverse = np.unique(np.frombuffer(ids, dtype=np.int64), return_inverse=True)
        held_once = np.unique(owners * len(distinct) + inverse)
        return cls._of_pairs(held_once // max(len(distinct), 1), held_once % max(len(distinct), 1), len(counts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def shared(self) -> "TextKeys":
        """Keep only the texts that more than one example holds; only they can come twice in a batch."""
        owners = np.repeat(np.arange(len(self)), np.diff(self.starts))
        kept = np.bincount(self.numbers)[self.numbers] > 1
        return self._of_pairs(owners[kept], self.numbers[kept], len(self))

    @classmethod
    def _of_pairs(cls, owners: IntArray, numbers: IntArray, num_examples: int) -> "TextKeys":
        """Build from example and text number, sorted by example."""
        return cls(np.searchsorted(owners, np.arange(num_examples + 1)).astype(np.int64), numbers.astype(np.int64))


@dataclass(slots=True)
class OpenBatch:
    """A batch that is being filled.

    Attributes:
        size: Examples it shall hold.
        examples: Those it holds.
        texts: Their texts.
    """

    size: int
    examples: list[int] = field(default_factory=list)
    texts: set[int] = field(default_factory=set)


class Dealer:
    """Deals a row of examples to batches. One that repeats a text of the open batch waits for the next.

    Args:
        keys: Keys of all examples.
        examples: Those to deal, in order; each will be dealt once for each time it is there.
    """

    def __init__(self, keys: TextKeys, examples: Iterable[int]) -> None:
        self._starts, self._numbers = keys.starts.data, keys.numbers.data
        self._coming = deque(examples)
        # By a text that stood in its way: of the examples that wait for one text, a batch can take only one. So a
        # text that is in half of all examples costs no more than a look at each batch.
        self._waiting: dict[int, deque[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._coming or self._waiting)

    def fill(self, batch: OpenBatch, size: int) -> None:
        """Fill a batch up to `size` examples if they can be found: those that wait first, then new ones."""
        for text in list(self._waiting):
            if len(batch.examples) >= size:
                return
            if text not in batch.texts:
                self._offer(self._first_waiting(text), batch)
        while self._coming and len(batch.examples) < size:
            self._offer(self._coming.popleft(), batch)

    def rest(self) -> list[int]:
        """Give what is not dealt: those that wait first."""
        return [example for row in self._waiting.values() for example in row] + list(self._coming)

    def _first_waiting(self, text: int) -> int:
        """Take the first example that waits for a text."""
        row = self._waiting[text]
        example = row.popleft()
        if not row:
            del self._waiting[text]
        return example

    def _offer(self, example: int, batch: OpenBatch) -> None:
        """Put an example into the batch, or have it wait for the text that stands in its way."""
        texts = self._numbers[self._starts[example] : self._starts[example + 1]].tolist()
        for text in texts:
            if text in batch.texts:
                self._waiting.setdefault(text, deque()).append(example)
                return
        batch.examples.append(example)
        batch.texts.update(texts)
