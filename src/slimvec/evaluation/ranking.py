"""The best documents of every query, from scores computed block by block, with ties broken by document id.

Ties follow trec_eval and mteb: equal scores are ordered by document id, descending. A ranking therefore does not depend
on the order of the documents.

Letters: Q queries, N documents, D dims, K documents kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.data.score_keys import LOW_BITS, largest_keys, score_keys

Vectors = NDArray[np.float32]
Scores = NDArray[np.float32]
Indices = NDArray[np.int64]

_CELLS_AT_ONCE = 4_000_000
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best documents of every query.

    Attributes:
        top: [Q, K] int64, numbers of the documents, best first.
        document_ids: N ids.
    """

    top: Indices
    document_ids: Sequence[str]

    def ids(self, query: int) -> list[str]:
        """Ids of the best documents of a query, best first."""
        return [self.document_ids[index] for index in self.top[query]]


def rank_vectors(queries: Vectors, documents: Vectors, document_ids: Sequence[str], *, num_kept: int = 100) -> Ranking:
    """Rank documents by the dot product of unit vectors.

    Products are summed in double precision and rounded to single: equal vectors then tie wherever they stand in a
    block, which sums in single precision do not guarantee.

    Args:
        queries: [Q, D].
        documents: [N, D].
        document_ids: N ids, each once.
        num_kept: K; all documents where there are fewer.

    Raises:
        ValueError: shapes that do not fit, or a score that is not a number.
    """
    if queries.shape[1] != documents.shape[1] or len(documents) != len(document_ids):
        raise ValueError(f"queries {queries.shape}, documents {documents.shape}, {len(document_ids)} ids do not fit")
    keys = _Keys(document_ids, num_kept)
    best: dict[int, NDArray[np.int64]] = {}
    for first_query, first_document, scores in _dot_products(queries, documents):
        found = keys.best(scores, first_document)
        best[first_query] = keys.merge(best[first_query], found) if first_query in best else found
    return Ranking(np.concatenate([keys.numbers(best[first]) for first in sorted(best)]), document_ids)


def rank_scores(rows: Iterable[Scores], document_ids: Sequence[str], *, num_kept: int = 100) -> Ranking:
    """Rank documents by scores given query by query.

    Args:
        rows: Q rows of N scores.
        document_ids: N ids, each once.
        num_kept: K; all documents where there are fewer.

    Raises:
        ValueError: a row that does not fit, or a score that is not a number.
    """
    keys = _Keys(document_ids, num_kept)
    top = [keys.numbers(keys.best(np.asarray(row, dtype=np.float32)[None], 0))[0] for row in rows]
    return Ranking(np.stack(top), document_ids)


def _dot_products(queries: Vectors, documents: Vectors) -> Iterator[tuple[int, int, Scores]]:
    """Blocks of the score matrix: numbers of the first query and the first document, [q, n] scores."""
    num_rows = max(1, min(len(queries), _ROWS_AT_ONCE))
    num_columns = max(1, _CELLS_AT_ONCE // num_rows)
    for column in range(0, len(documents), num_columns):
        block = documents[column : column + num_columns].astype(np.float64).T
        for row in range(0, len(queries), num_rows):
            rows = queries[row : row + num_rows].astype(np.float64)
            yield row, column, (rows @ block).astype(np.float32)


class _Keys:
    """Score and id of a document as one whole number (see `score_keys`), so that no two documents ever tie.

    The place of a document is that of its id among all ids in ascending order.
    """

    def __init__(self, document_ids: Sequence[str], num_kept: int) -> None:
        self.num_kept = min(num_kept, len(document_ids))
        self.by_place = np.array(sorted(range(len(document_ids)), key=document_ids.__getitem__), dtype=np.int64)
        self.places = np.empty_like(self.by_place)
        self.places[self.by_place] = np.arange(len(document_ids))

    def best(self, scores: Scores, first_document: int) -> NDArray[np.int64]:
        """Keys of the best documents of a block of scores [q, n]: [q, at most K], in no order."""
        if np.isnan(scores).any():
            raise ValueError("a score is not a number")
        places = self.places[first_document : first_document + scores.shape[1]]
        return largest_keys(score_keys(scores, places), self.num_kept)

    def merge(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keys of the best documents of two blocks."""
        return largest_keys(np.concatenate([first, second], axis=1), self.num_kept)

    def numbers(self, keys: NDArray[np.int64]) -> Indices:
        """Numbers of the documents with these keys, best first."""
        ordered = -np.sort(-keys, axis=1)
        result: Indices = self.by_place[ordered & LOW_BITS]
        return result
