"""Files that grow by blocks of rows and survive a kill at any moment: what is committed is whole, the rest is cut.

The rows stand in one flat file that is memory-mapped for reading; beside it `NAME.rows` says how many of them count. A
block is written and flushed first and counted after, so a file never claims rows that are not on disk.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from slimvec.files import storage_errors, write_text


class RowFile:
    """Rows of one fixed type on disk.

    Args:
        path: The flat file; made when it is not there.
        dtype: Data type of the elements; may be structured.
        shape: Shape of one row; `()` for a single element.

    Attributes:
        num_rows: Committed.
        tally: Sum of the tallies of the committed blocks.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: Sequence[int] = ()) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.shape = tuple(shape)
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        self.num_rows, self.tally = self._committed()

    def append(self, rows: NDArray[Any], *, tally: int = 0) -> None:
        """Add rows [n, *shape] and commit them.

        Args:
            rows: The rows.
            tally: Added to a number that is committed with the rows.

        Raises:
            StorageError: they cannot be written; the file is as before.
        """
        block = np.ascontiguousarray(rows, dtype=self.dtype)
        if block.shape[1:] != self.shape:
            raise ValueError(f"rows of shape {block.shape[1:]} for a file of {self.shape}")
        with storage_errors(self.path):
            with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.truncate(self.num_rows * self._row_bytes)  # what a killed writer left behind the last commit
                file.seek(0, os.SEEK_END)
                file.write(block.tobytes())
                file.flush()
                os.fsync(file.fileno())
            self._commit(self.num_rows + len(block), self.tally + tally)

    def read(self) -> NDArray[Any]:
        """Map all committed rows: [num_rows, *shape], read-only."""
        if self.num_rows == 0 or self._row_bytes == 0:
            return np.empty((self.num_rows, *self.shape), dtype=self.dtype)
        return np.memmap(self.path, dtype=self.dtype, mode="r", shape=(self.num_rows, *self.shape))

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.rows")

    def _committed(self) -> tuple[int, int]:
        """Rows that count, and the tally; none when the note is missing, or speaks of other rows or of missing ones."""
        if not self._note.is_file() or not self.path.is_file():
            return 0, 0
        note = json.loads(self._note.read_text(encoding="utf-8"))
        whole = self.path.stat().st_size >= note["num_rows"] * self._row_bytes
        return (note["num_rows"], note["tally"]) if whole and note["row"] == self._row() else (0, 0)

    def _commit(self, num_rows: int, tally: int) -> None:
        note = {"num_rows": num_rows, "tally": tally, "row": self._row()}
        write_text(self._note, json.dumps(note), force=True)
        self.num_rows, self.tally = num_rows, tally

    def _row(self) -> str:
        """The type of a row, in words."""
        return f"{self.dtype.descr} {list(self.shape)}"
