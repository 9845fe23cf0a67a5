"""The approximate index: how it is sized, and how much of the exact answer it was measured to find.

Vectors are divided into about sqrt(N) cells by k-means, and a search looks into the nearest few (IVF, LanceDB's
IvfFlat). How many is not guessed: sentences out of the user's own documents are embedded as queries, and the fewest
cells are taken that find `RECALL` of the ten chunks that a search through all finds.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slimvec.ranking.fusion import Ranked
from slimvec.search.settings import Approximation
from slimvec.search.store import ChunkTable
from slimvec.search.vectors import VectorColumns, Vectors
from slimvec.text.sentences import split_sentences

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

MIN_CHUNKS = 50_000
"""Below, a search through all takes less time than embedding the query."""
RECALL = 0.97
"""What its cells are chosen for, so that other questions than those it was measured with find .95."""
DEPTH = 10
NUM_QUERIES = 100
_PROBES = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_MIN_WORDS = 4
_SEED = 0
_TIE = 1e-5
"""Scores this near are equal: a sum in another order differs by less."""


def is_due(num_chunks: int, present: Approximation | None) -> bool:
    """Whether an index of so many chunks should get an approximate index, or a new one because it has doubled."""
    return num_chunks >= MIN_CHUNKS and (present is None or num_chunks >= 2 * present.num_chunks)


def own_queries(table: ChunkTable, embedder: "Embedder") -> Vectors:
    """Embed sentences of chunks drawn by chance, as queries: [Q, D]."""
    drawn = table.sample(3 * NUM_QUERIES, _SEED)
    sentences = [next(_long_sentences(row["text"]), "") for row in drawn]
    return embedder.embed([text for text in sentences if text][:NUM_QUERIES], role="query").vectors


def build(
    table: ChunkTable, columns: VectorColumns, queries: Vectors, *, on_progress: Callable[[str], None]
) -> Approximation | None:
    """Make the approximate index and measure it.

    Args:
        table: The chunks.
        columns: How their vectors are held.
        queries: [Q, D] float32.
        on_progress: Told what is being done.

    Returns:
        What it finds; None, and no index, when even the most cells find too little.
    """
    num_chunks = len(table)
    num_partitions = max(2, round(np.sqrt(num_chunks)))
    on_progress(f"dividing {num_chunks:,} vectors into {num_partitions:,} cells")
    table.drop_vector_index(columns.searched)
    exact = [columns.search(table, query, top=DEPTH) for query in queries]
    table.index_vectors(columns.searched, num_partitions)
    on_progress("measuring what the approximate index finds")
    for num_probes in _PROBES:
        if num_probes >= num_partitions:
            break
        recall = measure_recall(table, columns, queries, exact, num_probes=num_probes)
        if recall >= RECALL:
            return Approximation(
                num_partitions=num_partitions,
                num_probes=num_probes,
                recall=recall,
                num_queries=len(queries),
                num_chunks=num_chunks,
            )
    table.drop_vector_index(columns.searched)
    return None


def measure_recall(
    table: ChunkTable, columns: VectorColumns, queries: Vectors, exact: Sequence[Ranked], *, num_probes: int
) -> float:
    """Share of the exact nearest chunks that a search through some cells finds, or others that score the same.

    Equal chunks (a licence in every file, a repeated page) are ranked in no order, and any of them will do.
    """
    shares = []
    for query, best in zip(queries, exact, strict=True):
        found = columns.search(table, query, top=DEPTH, num_probes=num_probes)
        worst = min(best.scores, default=0.0) - _TIE
        shares.append(sum(score >= worst for score in found.scores) / max(1, len(best.scores)))
    return float(np.mean(shares))


def _long_sentences(text: str) -> Iterator[str]:
    return (sentence for sentence in split_sentences(text) if len(sentence.split()) >= _MIN_WORDS)
