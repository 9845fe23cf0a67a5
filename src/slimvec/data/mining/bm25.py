"""BM25 over a corpus in blocks, with the word statistics of the whole: Lucene's form (arXiv 2407.03618, section 2).

score(q, d) = sum over words w of q of ln(1 + (N - df_w + .5) / (df_w + .5)) tf / (tf + k1 (1 - b + b |d| / mean |d|)).

bm25s holds its index in memory as one piece and takes its statistics from it; here only the words that queries ask for
are kept, a file a block of documents. The scores are equal (a test compares them).
Letters: N documents of the corpus, n documents of a block, V different words of the queries, P postings of a block.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.collection import Collection
from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.scoring import QUERIES_AT_ONCE, Scores
from slimvec.data.mining.texts import Numbers
from slimvec.files import atomic_file
from slimvec.ranking.bm25 import K1, B, lexical_words

BLOCK_DOCUMENTS = 16_384
_Postings = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]


class Bm25Scorer:
    """BM25 of the queries of a collection against its documents. A document without a word of the query scores 0.

    Args:
        collection: Queries and documents.
        folder: Where the postings are kept; those that are there are used.
        advance: Called with how many more documents were read.
        block_documents: Documents of a block.

    Raises:
        StorageError: the postings cannot be written.
    """

    floor = 0.0

    def __init__(
        self,
        collection: Collection,
        folder: Path,
        *,
        advance: Callable[[int], None] | None = None,
        block_documents: int = BLOCK_DOCUMENTS,
    ) -> None:
        self._num_candidates = collection.num_candidates
        vocabulary: dict[str, int] = {}
        self._words = Ragged.of(_query_words(collection, vocabulary))
        self._blocks = list(_ranges(collection.num_candidates, len(collection.documents), block_documents))
        self._paths = [folder / f"postings-{block_documents}-{block.start:012d}.npz" for block in self._blocks]
        for path, block in zip(self._paths, self._blocks, strict=True):
            if not path.is_file():
                _write_postings(path, collection.documents.read(block), vocabulary)
            if advance is not None:
                advance(len(block))
        self._idf, self._mean_length = self._statistics(len(vocabulary))

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, Scores]]:
        """Score as the protocol says."""
        for path, block in zip(self._paths, self._blocks, strict=True):
            if block.start < self._num_candidates:
                postings = self._read(path)
                rows = [self._row(query, postings, len(block)) for query in range(start, stop)]
                yield block.start, np.stack(rows).astype(np.float32)

    def pairs(self, queries: Numbers, documents: Numbers) -> Scores:
        """Score as the protocol says."""
        scores = np.empty(len(queries), dtype=np.float32)
        for path, block in zip(self._paths, self._blocks, strict=True):
            here = np.flatnonzero((documents >= block.start) & (documents < block.stop))
            if len(here) == 0:
                continue
            postings = self._read(path)
            for query in np.unique(queries[here]):
                row = self._row(int(query), postings, len(block))
                own = here[queries[here] == query]
                scores[own] = row[documents[own] - block.start]
        return scores

    def _row(self, query: int, postings: _Postings, num_documents: int) -> NDArray[np.float64]:
        """Scores of one query against a block: [n]."""
        words, bounds, documents, weights = postings
        row = np.zeros(num_documents)
        asked = self._words[query]
        places = np.searchsorted(words, asked)
        for word, place in zip(asked.tolist(), places.tolist(), strict=True):
            if place < len(words) and words[place] == word:
                own = slice(bounds[place], bounds[place + 1])
                row[documents[own]] += weights[own]
        return row

    def _read(self, path: Path) -> _Postings:
        """Words of a block, ascending; where the postings of each begin; their documents and weights [P]."""
        with np.load(path) as file:
            words, bounds, documents, counts = (file[name] for name in ("words", "bounds", "documents", "counts"))
            lengths = file["lengths"]
        saturation = K1 * (1 - B + B * lengths[documents] / self._mean_length)
        return words, bounds, documents, np.repeat(self._idf[words], np.diff(bounds)) * counts / (counts + saturation)

    def _statistics(self, num_words: int) -> tuple[NDArray[np.float64], float]:
        """Inverse document frequency of every word [V], and the mean length of the candidates."""
        frequencies = np.zeros(num_words)
        num_tokens = 0
        for path, block in zip(self._paths, self._blocks, strict=True):
            if block.start < self._num_candidates:
                with np.load(path) as file:
                    frequencies[file["words"]] += np.diff(file["bounds"])
                    num_tokens += int(file["lengths"].sum())
        idf = np.log1p((self._num_candidates - frequencies + 0.5) / (frequencies + 0.5))
        return idf, max(num_tokens, 1) / self._num_candidates


def _query_words(collection: Collection, vocabulary: dict[str, int]) -> Iterator[list[int]]:
    """Word numbers of every query, repetitions kept; fills the vocabulary."""
    for start in range(0, len(collection.queries), QUERIES_AT_ONCE):
        block = range(start, min(start + QUERIES_AT_ONCE, len(collection.queries)))
        for text in collection.queries.read(block):
            yield [vocabulary.setdefault(word, len(vocabulary)) for word in lexical_words(text)]


def _ranges(num_candidates: int, num_documents: int, width: int) -> Iterator[range]:
    """Blocks of documents; none holds both candidates and others, whose words do not count."""
    for start, stop in ((0, num_candidates), (num_candidates, num_documents)):
        for first in range(start, stop, width):
            yield range(first, min(first + width, stop))


def _write_postings(path: Path, texts: Sequence[str], vocabulary: dict[str, int]) -> None:
    """Count the words of a block that queries ask for."""
    words: list[int] = []
    documents: list[int] = []
    counts: list[int] = []
    lengths: list[int] = []
    for document, text in enumerate(texts):
        own = lexical_words(text)
        lengths.append(len(own))
        for word, count in Counter(own).items():
            if word in vocabulary:
                words.append(vocabulary[word])
                documents.append(document)
                counts.append(count)
    order = np.argsort(np.array(words, dtype=np.int64), kind="stable")
    different, starts = np.unique(np.array(words, dtype=np.int64)[order], return_index=True)
    with atomic_file(path, force=True) as temporary:
        np.savez(
            temporary,
            words=different,
            bounds=np.append(starts, len(words)),
            documents=np.array(documents, dtype=np.int32)[order],
            counts=np.array(counts, dtype=np.int32)[order],
            lengths=np.array(lengths, dtype=np.int32),
        )
