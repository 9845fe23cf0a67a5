"""How often each source is drawn from: in full once an epoch, or by weights and a temperature.

With n_s records in source s, N in all, its weight w_s (default 1) and the temperature T (default 1), source s has the
share  p_s = w_s n_s^(1/T) / sum_r w_r n_r^(1/T)  of all draws (temperature sampling as in mBERT and mT5, arXiv
2010.11934, section 3.2). An epoch is N draws. Each source is drawn from in permutations of its own, one after the
other, so that none of its records comes for the (k+2)th time before all of them came k+1 times. With equal weights
and T = 1 an epoch is exactly one permutation of each source: every record once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.training.batches.shuffling import shuffled

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
