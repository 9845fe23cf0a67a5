"""The best documents of every query, from scores computed block by block, with ties broken by document id.

Ties follow trec_eval and mteb: equal scores are ordered by document id, descending. A ranking therefore does not depend
on the order of the documents.

Letters: Q queries, N documents, D dims, K documents kept; q and n those of a block.

Score and place as one whole number, so that ordering never depends on chance: larger is better, no two are equal.

The upper half is the bit pattern of the float32 score, mapped to a whole number in the order of the floats; the lower
half is a place below 2^32 that breaks ties.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Keys = NDArray[np.int64]

LOW_BITS = np.int64(2**32 - 1)
Vectors = NDArray[np.float32]
Indices = NDArray[np.int64]
_CELLS_AT_ONCE = 4_000_000
_ROWS_AT_ONCE = 1024


def score_keys(scores: Scores, places: Keys) -> Keys:
    """Make keys.

    Args:
        scores: Any shape; no NaN, infinities allowed.
        places: Places of the scores, of a shape that fits, from 0 to 2^32 - 1; of equal scores the larger place comes
            first.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # adding 0 makes -0 and 0 equal
    return (_flip(bits).astype(np.int64) << 32) | places


def key_scores(keys: Keys) -> Scores:
    """Give the scores back that keys were made of."""
    return _flip((keys >> 32).astype(np.int32)).view(np.float32)


def largest_keys(keys: Keys, num_kept: int) -> Keys:
    """Keep the largest keys of every row [Q, n]: [Q, at most `num_kept`], in no order."""
    surplus = keys.shape[1] - num_kept
    return keys if surplus <= 0 else np.partition(keys, surplus, axis=1)[:, surplus:]


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Turn bit patterns of floats into whole numbers of the same order, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


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

    def own_last(self, query_ids: Sequence[str]) -> "Ranking":
        """Put the document that has the id of its query behind all others of the K.

        Args:
            query_ids: Q ids.
        """
        numbers = {document_id: number for number, document_id in enumerate(self.document_ids)}
        own = np.array([numbers.get(query_id, -1) for query_id in query_ids], dtype=np.int64)
        order = np.argsort(self.top == own[:, None], axis=1, kind="stable")
        return Ranking(np.take_along_axis(self.top, order, axis=1), self.document_ids)


class TopK:
    """The best of some rows of scores that come block by block of columns, the same for every size of block.

    Score and place of a column are one whole number (see `score_keys`), so that no two columns ever tie.

    Args:
        num_kept: K.
        places: Place of every column, each once; of equal scores the larger place comes first. Default: the earlier
            column comes first.
    """

    def __init__(self, num_kept: int, places: Indices | None = None) -> None:
        self._num_kept = num_kept
        self._places = places
        self._by_place = None if places is None else np.argsort(places)
        self._best: Keys | None = None

    def add(self, scores: Scores, first_column: int = 0) -> None:
        """Take a block of scores [q, n].

        Raises:
            ValueError: a score is not a number.
        """
        if np.isnan(scores).any():
            raise ValueError("a score is not a number")
        columns = np.arange(first_column, first_column + scores.shape[1])
        places = LOW_BITS - columns if self._places is None else self._places[columns]
        found = largest_keys(score_keys(scores, places), self._num_kept)
        if self._best is not None:
            found = largest_keys(np.concatenate([self._best, found], axis=1), self._num_kept)
        self._best = found

    def sorted(self) -> tuple[Indices, Scores]:
        """Numbers of the best columns, best first, and their scores: [q, at most K] each.

        Raises:
            ValueError: no block was added.
        """
        if self._best is None:
            raise ValueError("the best of no scores")
        keys = -np.sort(-self._best, axis=1)
        places = keys & LOW_BITS
        columns: Indices = LOW_BITS - places if self._by_place is None else self._by_place[places]
        return columns, key_scores(keys)


def top_k(scores: Scores, num_kept: int) -> Indices:
    """Give the numbers of the largest scores of every row [Q, N], of equal ones the earlier first: [Q, at most K].

    Raises:
        ValueError: a score is not a number.
    """
    best = TopK(num_kept)
    best.add(scores)
    return best.sorted()[0]


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
    places = _places(document_ids)
    best: dict[int, TopK] = {}
    for first_query, first_document, scores in _dot_products(queries, documents):
        best.setdefault(first_query, TopK(num_kept, places)).add(scores, first_document)
    return Ranking(np.concatenate([best[first].sorted()[0] for first in sorted(best)]), document_ids)


def rank_scores(rows: Iterable[Scores], document_ids: Sequence[str], *, num_kept: int = 100) -> Ranking:
    """Rank documents by scores given query by query.

    Args:
        rows: Q rows of N scores.
        document_ids: N ids, each once.
        num_kept: K; all documents where there are fewer.

    Raises:
        ValueError: a row that does not fit, or a score that is not a number.
    """
    places = _places(document_ids)
    top = []
    for row in rows:
        best = TopK(num_kept, places)
        best.add(np.asarray(row, dtype=np.float32)[None])
        top.append(best.sorted()[0][0])
    return Ranking(np.stack(top), document_ids)


def _places(document_ids: Sequence[str]) -> Indices:
    """Place of every id among all in ascending order: [N]."""
    by_place = np.array(sorted(range(len(document_ids)), key=document_ids.__getitem__), dtype=np.int64)
    places = np.empty_like(by_place)
    places[by_place] = np.arange(len(document_ids))
    return places


def _dot_products(queries: Vectors, documents: Vectors) -> Iterator[tuple[int, int, Scores]]:
    """Blocks of the score matrix: numbers of the first query and the first document, [q, n] scores."""
    num_rows = max(1, min(len(queries), _ROWS_AT_ONCE))
    num_columns = max(1, _CELLS_AT_ONCE // num_rows)
    for column in range(0, len(documents), num_columns):
        block = documents[column : column + num_columns].astype(np.float64).T
        for row in range(0, len(queries), num_rows):
            rows = queries[row : row + num_rows].astype(np.float64)
            yield row, column, (rows @ block).astype(np.float32)
