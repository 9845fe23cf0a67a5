"""Which texts make up which step, where there are no pairs: every text once an epoch, steps of about equal work."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.training.batches.shuffling import shuffled

IntArray = NDArray[np.int64]


class TextDeal:
    """Shuffles texts and cuts their row where a step has its tokens.

    Args:
        lengths: Tokens of each text.
        step_tokens: Tokens a step, about.
        seed: Random seed for the order.
    """

    def __init__(self, lengths: Sequence[int], *, step_tokens: int, seed: int) -> None:
        self._lengths = np.array(lengths, dtype=np.int64)
        self._step_tokens, self._seed = step_tokens, seed
        self._epoch, self._batches = -1, list[IntArray]()
        self._sizes: list[int] = []

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the texts."""
        return sum(self._epoch_length(epoch) for epoch in range(epochs))

    def step(self, number: int) -> tuple[IntArray, int, float]:
        """Give the numbers of a step's texts, the number of its epoch, and the share of the epoch done after it.

        Args:
            number: Number of the step, from 0 over all epochs.
        """
        epoch = 0
        while number >= self._epoch_length(epoch):
            number -= self._epoch_length(epoch)
            epoch += 1
        return self._deal(epoch)[number], epoch, (number + 1) / self._epoch_length(epoch)

    def _epoch_length(self, epoch: int) -> int:
        while len(self._sizes) <= epoch:
            self._sizes.append(len(self._deal(len(self._sizes))))
        return self._sizes[epoch]

    def _deal(self, epoch: int) -> list[IntArray]:
        """Give the steps of an epoch."""
        if epoch != self._epoch:
            # The name of the stream is that of runs which can still be resumed.
            order = shuffled(np.arange(len(self._lengths)), self._seed, "adaptation", epoch)
            numbers = (np.cumsum(self._lengths[order]) - 1) // self._step_tokens
            cuts = np.flatnonzero(np.diff(numbers)) + 1
            self._epoch, self._batches = epoch, np.split(order, cuts)
        return self._batches
