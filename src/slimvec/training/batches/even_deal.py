"""Which examples make up which step, where steps count examples: each once an epoch, in steps of one size."""

import numpy as np
from numpy.typing import NDArray

from slimvec.training.batches.shuffling import shuffled

IntArray = NDArray[np.int64]


class EvenDeal:
    """Shuffles examples and parts them.

    Args:
        num: How many examples.
        size: Examples a step; a few more where they do not come out even.
        seed: Random seed for the order.
        stream: Names the order among others of the same seed.

    Attributes:
        epoch_length: Steps of an epoch.
    """

    def __init__(self, num: int, *, size: int, seed: int, stream: str) -> None:
        self.epoch_length = even_steps(num, size)
        self._num, self._seed, self._stream = num, seed, stream
        self._epoch, self._steps = -1, list[IntArray]()

    def step(self, number: int) -> tuple[IntArray, int, float]:
        """Give the numbers of a step's examples, the number of its epoch, and the epochs done after it.

        Args:
            number: Number of the step, from 0 over all epochs.
        """
        epoch, place = divmod(number, self.epoch_length)
        if epoch != self._epoch:
            order = shuffled(np.arange(self._num), self._seed, self._stream, epoch)
            self._epoch, self._steps = epoch, np.array_split(order, self.epoch_length)
        return self._steps[place], epoch, (number + 1) / self.epoch_length


def even_steps(num: int, size: int) -> int:
    """Count the steps of an epoch over so many examples."""
    return max(num // size, 1)
