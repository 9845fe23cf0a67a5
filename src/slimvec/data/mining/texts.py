"""Texts on disk, found by their number: a corpus larger than memory can be written as it streams by and read in blocks.

In memory there are 16 bytes a text: where it starts, and the number that equal texts share (`text_id`).
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slimvec.data.text_ids import text_id
from slimvec.files import storage_errors

Numbers = NDArray[np.int64]


class TextWriter:
    """Takes texts one by one; a context manager.

    Args:
        path: The file to write; replaced when it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._starts = array("q", [0])
        self._ids = array("q")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, text: str) -> int:
        """Write a text and give the number that equal texts share.

        Raises:
            StorageError: the disk is full.
        """
        data = text.encode()
        with storage_errors(self.path):
            self._file.write(data)
        self._starts.append(self._starts[-1] + len(data))
        self._ids.append(text_id(text))
        return self._ids[-1]

    def distinct(self, labels: Sequence[int] | None = None) -> tuple["TextStore", Numbers]:
        """Number the texts so that equal ones have one number.

        Args:
            labels: One for each text written; texts are equal only if their labels are too.

        Returns:
            The first of all equal texts, in the order of writing, and the number there of every text written.
        """
        with storage_errors(self.path):
            self._file.flush()
        ids, starts = np.array(self._ids, dtype=np.int64), np.array(self._starts, dtype=np.int64)
        keys = ids if labels is None else np.stack([ids, np.array(labels, dtype=np.int64)], axis=1)
        first, number_of = _first_occurrences(keys)
        return TextStore(self.path, starts[first], starts[first + 1], ids[first]), number_of


def _first_occurrences(keys: Numbers) -> tuple[Numbers, Numbers]:
    """Where each different key [n] or [n, c] stands first, ascending, and the place of each key in that list."""
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.reshape(-1)]


class TextStore:
    """N texts of a file that `TextWriter` wrote.

    Args:
        path: The file.
        starts: [N] first byte of each text.
        ends: [N] byte after the last.
        ids: [N] `text_id` of each.
    """

    def __init__(self, path: Path, starts: Numbers, ends: Numbers, ids: Numbers) -> None:
        self.path = path
        self._starts, self._ends = starts, ends
        self.ids = ids
        self._order = np.argsort(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, numbers: Sequence[int] | range) -> list[str]:
        """Give the texts of these numbers."""
        with self.path.open("rb") as file:
            texts = []
            for number in numbers:
                file.seek(int(self._starts[number]))
                texts.append(file.read(int(self._ends[number] - self._starts[number])).decode())
        return texts

    def find(self, ids: Numbers) -> Numbers:
        """Number of a text with each of these ids; -1 where there is none."""
        if len(self.ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        places = np.searchsorted(self.ids, ids, sorter=self._order).clip(max=len(self.ids) - 1)
        numbers: Numbers = self._order[places]
        return np.where(self.ids[numbers] == ids, numbers, -1)
