"""Scores of queries against documents, block by block: what a search needs of an embedder or of BM25.

Letters: q queries and n documents of a block, D dims.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.texts import Numbers

Scores = NDArray[np.float32]
Vectors = NDArray[np.float32]

QUERIES_AT_ONCE = 1024
DOCUMENTS_AT_ONCE = 4096
"""With 1,024 queries a block of scores is 32 MB in double precision."""


class Scorer(Protocol):
    """Scores of any query against any document.

    Attributes:
        floor: A search returns only documents that score above this.
    """

    floor: float

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, Scores]]:
        """Score the queries from `start` to `stop` against all candidates: first document and scores [q, n], in turn.

        The caller may change what it is given.
        """

    def pairs(self, queries: Numbers, documents: Numbers) -> Scores:
        """Score each query with the document at the same place: equal to what `blocks` gives there."""


class VectorScorer:
    """Dot products of unit vectors, which may lie on disk.

    Products are summed in double precision and rounded to single, so that equal vectors tie wherever they stand in a
    block; sums in single precision depend on the shape of the block.

    Args:
        queries: [Q, D].
        documents: [N, D].
        num_candidates: How many of the documents a search may return.
        block_documents: Documents of a block.
    """

    floor = float("-inf")

    def __init__(
        self, queries: Vectors, documents: Vectors, num_candidates: int, *, block_documents: int = DOCUMENTS_AT_ONCE
    ) -> None:
        self._queries, self._documents = queries, documents
        self._num_candidates, self._width = num_candidates, block_documents

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, Scores]]:
        """Score as the protocol says."""
        rows = self._queries[start:stop].astype(np.float64)
        for first in range(0, self._num_candidates, self._width):
            block = self._documents[first : min(first + self._width, self._num_candidates)].astype(np.float64)
            yield first, (rows @ block.T).astype(np.float32)

    def pairs(self, queries: Numbers, documents: Numbers) -> Scores:
        """Score as the protocol says."""
        scores = np.empty(len(queries), dtype=np.float32)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            left = self._queries[queries[part]].astype(np.float64)
            right = self._documents[documents[part]].astype(np.float64)
            scores[part] = np.einsum("nd,nd->n", left, right)
        return scores
