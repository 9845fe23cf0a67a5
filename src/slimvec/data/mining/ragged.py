"""Rows of different lengths in two flat arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ragged:
    """R rows of whole numbers.

    Attributes:
        bounds: [R + 1]; row r is `values[bounds[r]:bounds[r + 1]]`.
        values: All rows, one after the other.
    """

    bounds: Numbers
    values: Numbers

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | Numbers]) -> Self:
        """Take rows as they are."""
        kept = [np.asarray(row, dtype=np.int64) for row in rows]
        bounds = np.cumsum([0, *map(len, kept)], dtype=np.int64)
        return cls(bounds, np.concatenate(kept) if kept else np.empty(0, dtype=np.int64))

    @classmethod
    def group(cls, rows: Numbers, values: Numbers, num_rows: int) -> Self:
        """Gather pairs (row, value) into rows, each value once a row, in ascending order."""
        pairs = np.unique(np.stack([rows, values], axis=1), axis=0)
        bounds = np.searchsorted(pairs[:, 0], np.arange(num_rows + 1))
        return cls(bounds.astype(np.int64), np.ascontiguousarray(pairs[:, 1]))

    @classmethod
    def of_slices(cls, starts: Numbers, stops: Numbers, values: Numbers) -> Self:
        """Take row r from `values[starts[r]:stops[r]]`."""
        lengths = stops - starts
        bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
        return cls(bounds, values[places])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, row: int) -> Numbers:
        return self.values[self.bounds[row] : self.bounds[row + 1]]

    @property
    def rows(self) -> Numbers:
        """The row of every value."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    def between(self, start: int, stop: int) -> "Ragged":
        """The rows from `start` to `stop`."""
        bounds = self.bounds[start : stop + 1]
        return Ragged(bounds - bounds[0], self.values[bounds[0] : bounds[-1]])

    def take(self, rows: Numbers) -> "Ragged":
        """The rows of these numbers, in this order."""
        return Ragged.of_slices(self.bounds[rows], self.bounds[rows + 1], self.values)
