"""The vectors of an index: held as its settings say, and searched in one step or two.

float32 vectors are searched by LanceDB itself. int8 and binary ones are searched by their bits first, for many more
candidates than were asked for, and these are scored again by what is held of them (`search.quantized`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimvec.ranking.fusion import Ranked
from slimvec.search.quantized import QuantizedQuery, Rest
from slimvec.search.settings import VectorKind
from slimvec.search.store import ChunkTable, vector_columns

_T = TypeVar("_T", bound=np.generic)
Vectors = NDArray[np.float32]
CANDIDATES = 4
"""Candidates by bits for each row that is wanted, as sentence-transformers has it."""
MIN_CANDIDATES = 400
"""And at least so many: 40 for each of ten hits, since small models are not trained to bear bits."""


@dataclass(frozen=True, eq=False)
class VectorColumns:
    """Writes and searches vectors.

    Attributes:
        kind: How they are held.
        dims: Their width.
        centre: Mean that bits are taken around, [D]; None for float32.
    """

    kind: VectorKind
    dims: int
    centre: Vectors | None = None

    @property
    def searched(self) -> str:
        """The column that LanceDB searches."""
        return "vector" if self.kind == "float32" else "bits"

    @property
    def names(self) -> set[str]:
        """The columns that hold them."""
        return set(vector_columns(self.kind, self.dims))

    def arrays(self, vectors: Vectors) -> Mapping[str, pa.Array]:
        """Give the columns of vectors [N, D]."""
        if self.kind == "float32":
            return {"vector": _rows(vectors)}
        assert self.centre is not None
        rest = Rest.of(vectors, self.centre)
        bits = _rows(rest.bits)
        if self.kind == "binary":
            scales = pa.array(rest.levels_scales)
            return {"bits": bits, "magnitudes": _rows(rest.magnitudes), "levels_scale": scales}
        return {"bits": bits, "codes": _rows(rest.codes), "codes_scale": pa.array(rest.codes_scales)}

    def search(
        self, table: ChunkTable, query: Vectors, *, top: int, where: str | None = None, num_probes: int | None = None
    ) -> Ranked:
        """Find the rows nearest to a query.

        Args:
            table: The rows.
            query: [D] float32.
            top: How many.
            where: Filter; None for all rows.
            num_probes: Cells of the approximate index to look into; None looks at all rows.
        """
        if self.kind == "float32":
            found = table.search_column("vector", query, top=top, where=where, num_probes=num_probes)
            return Ranked(found["_rowid"].to_pylist(), (1 - found["_distance"].to_numpy()).tolist())
        assert self.centre is not None
        prepared = QuantizedQuery.of(query, self.centre)
        found = table.search_column(
            "bits",
            prepared.bits,
            top=max(CANDIDATES * top, MIN_CANDIDATES),
            where=where,
            num_probes=num_probes,
            also=[name for name in vector_columns(self.kind, self.dims) if name != "bits" or self.kind == "binary"],
        )
        if self.kind == "binary":
            bits, magnitudes = (_matrix(found[name], np.uint8) for name in ("bits", "magnitudes"))
            scores = prepared.levels_scores(bits, magnitudes, found["levels_scale"].to_numpy())
        else:
            scores = prepared.codes_scores(_matrix(found["codes"], np.int8), found["codes_scale"].to_numpy())
        best = np.argsort(-scores, kind="stable")[:top]
        return Ranked(found["_rowid"].to_numpy()[best].tolist(), scores[best].tolist())


def _rows(matrix: NDArray[np.generic]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).reshape(-1)), matrix.shape[1])


def _matrix(column: pa.ChunkedArray, dtype: type[_T]) -> NDArray[_T]:
    """The lists of a column as rows of a matrix."""
    width = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return np.concatenate([np.empty((0, width), dtype), *parts], dtype=dtype)
