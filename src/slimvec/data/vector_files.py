"""Vectors on their way into a file, block by block, so that memory stays the same however many there are.

`.npy`: [N, D] float32 in the order of the texts. `.parquet`: `id`, `text`, and `vector` as a fixed-size list of
float32. Letters: N texts, n texts of a block, D dims.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimvec.data.texts import Item

METADATA_KEY = "slimvec"
"""Key of the Parquet metadata that says, as JSON, which model wrote the vectors, and how."""


class VectorWriter(Protocol):
    """Takes vectors block by block."""

    def write(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        """Add n texts and their vectors [n, D]."""

    def describe(self, metadata: Mapping[str, Any], *, num_texts: int) -> None:
        """Add how many vectors there are, and how they came about where the format has a place for it; at the end."""


@contextmanager
def vector_writer(path: Path, *, num_texts: int, dims: int) -> Iterator[VectorWriter]:
    """Open a file for vectors.

    Args:
        path: Ends in `.npy` or `.parquet`.
        num_texts: N, or more: what is left out is known at the end.
        dims: D.
    """
    if path.suffix == ".npy":
        with path.open("wb") as file:
            yield _NpyWriter(file, num_texts, dims)
        return
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "vector": pa.list_(pa.float32(), dims)})
    with pq.ParquetWriter(path, schema) as writer:
        yield _ParquetWriter(writer, schema)


class _NpyWriter:
    """Writes the format of `numpy.save`, whose header needs N first."""

    def __init__(self, file: IO[bytes], num_texts: int, dims: int) -> None:
        self._file, self._dims = file, dims
        self._write_header(num_texts)
        self._length = file.tell()

    def _write_header(self, num_texts: int) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (num_texts, self._dims)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:  # noqa: ARG002
        self._file.write(vectors.astype("<f4", copy=False).tobytes())

    def describe(self, metadata: Mapping[str, Any], *, num_texts: int) -> None:  # noqa: ARG002
        """Write the header anew, whose length numpy keeps whatever the number of rows."""
        self._file.seek(0)
        self._write_header(num_texts)
        assert self._file.tell() == self._length


class _ParquetWriter:
    """Writes a row group a block."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    def write(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        columns = [
            pa.array([item.id for item in items]),
            pa.array([item.text for item in items]),
            pa.FixedSizeListArray.from_arrays(flat, type=self._schema.field("vector").type),
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def describe(self, metadata: Mapping[str, Any], *, num_texts: int) -> None:  # noqa: ARG002
        self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(metadata, ensure_ascii=False)})
