"""Which examples make up which step, where there are no pairs: each once an epoch, in an order drawn anew."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def shuffled(values: NDArray[np.int64], *stream: int | str) -> NDArray[np.int64]:
    """Give the values in an order that only `stream` decides.

    numpy guarantees the raw output of its bit generators for good, but not what its shuffles make of it; so the order
    is that of raw random numbers.

    Args:
        values: [n].
        *stream: Names the order: seed, purpose, numbers.
    """
    entropy = int.from_bytes(hashlib.sha256(repr(stream).encode()).digest()[:16], "big")
    keys = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(len(values))
    return values[np.argsort(keys, kind="stable")]


class Deal(ABC):
    """Shuffles examples and cuts their row into steps.

    Args:
        num: How many examples.
        seed: Random seed for the order.
        stream: Names the order among others of the same seed.
    """

    def __init__(self, num: int, *, seed: int, stream: str) -> None:
        self._num, self._seed, self._stream = num, seed, stream
        self._epoch, self._steps = -1, list[IntArray]()
        self._sizes: list[int] = []

    @abstractmethod
    def _cut(self, order: IntArray) -> list[IntArray]:
        """Cut the numbers of all examples into steps."""

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the examples."""
        return sum(self._epoch_length(epoch) for epoch in range(epochs))

    def step(self, number: int) -> tuple[IntArray, int, float]:
        """Give the numbers of a step's examples, the number of its epoch, and the epochs done after it.

        Args:
            number: Number of the step, from 0 over all epochs.
        """
        epoch = 0
        while number >= self._epoch_length(epoch):
            number -= self._epoch_length(epoch)
            epoch += 1
        return self._deal(epoch)[number], epoch, epoch + (number + 1) / self._epoch_length(epoch)

    def _epoch_length(self, epoch: int) -> int:
        while len(self._sizes) <= epoch:
            self._sizes.append(len(self._deal(len(self._sizes))))
        return self._sizes[epoch]

    def _deal(self, epoch: int) -> list[IntArray]:
        """Give the steps of an epoch."""
        if epoch != self._epoch:
            order = shuffled(np.arange(self._num), self._seed, self._stream, epoch)
            self._epoch, self._steps = epoch, self._cut(order)
        return self._steps


class EvenDeal(Deal):
    """Steps of one number of examples.

    Args:
        num: How many examples.
        size: Examples a step; a few more where they do not come out even.
        seed: Random seed for the order.
        stream: Names the order among others of the same seed.
    """

    def __init__(self, num: int, *, size: int, seed: int, stream: str) -> None:
        super().__init__(num, seed=seed, stream=stream)
        self._length = even_steps(num, size)

    def _cut(self, order: IntArray) -> list[IntArray]:
        return np.array_split(order, self._length)

    def _epoch_length(self, epoch: int) -> int:  # noqa: ARG002  all are alike
        return self._length


class TextDeal(Deal):
    """Steps of about so many tokens.

    Args:
        lengths: Tokens of each text.
        step_tokens: Tokens a step, about.
        seed: Random seed for the order.
    """

    def __init__(self, lengths: Sequence[int], *, step_tokens: int, seed: int) -> None:
        super().__init__(len(lengths), seed=seed, stream="adaptation")  # as runs have it that can still be resumed
        self._lengths, self._step_tokens = np.array(lengths, dtype=np.int64), step_tokens

    def _cut(self, order: IntArray) -> list[IntArray]:
        numbers = (np.cumsum(self._lengths[order]) - 1) // self._step_tokens
        return np.split(order, np.flatnonzero(np.diff(numbers)) + 1)


def even_steps(num: int, size: int) -> int:
    """Count the steps of an epoch over so many examples."""
    return max(num // size, 1)
