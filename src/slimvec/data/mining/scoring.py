"""Scores of queries against documents, block by block: what a search needs of an embedder or of BM25.

Vectors of a collection are written to disk block by block as an embedder makes them.

Letters: q queries and n documents of a block, D dims.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.collection import Advance, Collection
from slimvec.data.mining.row_files import RowFile
from slimvec.data.mining.texts import Numbers, TextStore
from slimvec.errors import ModelError
from slimvec.progress import tell_nobody
from slimvec.text.embeddings import TextEmbedder, embed_by_task
from slimvec.text.prompts import Prompts, Role

Scores = NDArray[np.float32]
Vectors = NDArray[np.float32]

QUERIES_AT_ONCE = 1024
DOCUMENTS_AT_ONCE = 4096
"""With 1,024 queries a block of scores is 32 MB in double precision."""
TEXTS_AT_ONCE = 1024
"""What a kill can cost: about two minutes of a model of 135M parameters on two cores. Enough to sort by length well."""


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


@dataclass(frozen=True)
class KnownEmbedder:
    """An embedder, and what tells it from every other.

    Attributes:
        embedder: Turns texts into vectors.
        dims: D.
        identity: Identity of the model and its prompts, as JSON can write it; vectors on disk are used again only for
            an equal one.
        task: Task of the queries whose records name none, and of all documents, since one document serves all
            queries. None for the model's default.
        prompts: Its prompts, where they are known. Instructions of records that they have no place for, which are for
            the model in training, are left out.
    """

    embedder: TextEmbedder
    dims: int
    identity: Mapping[str, Any]
    task: str | None = None
    prompts: Prompts | None = None

    def query_task(self, task: str | None) -> str | None:
        """Give the task of a query, from what its record names."""
        if task is None or (self.prompts is not None and not self.prompts.has_place_for(task)):
            return self.task
        return task


def embed_collection(
    known: KnownEmbedder, collection: Collection, folder: Path, *, advance: Advance | None = None
) -> tuple[VectorScorer, dict[str, int]]:
    """Embed what is not yet in the folder, and give the scores of all queries against all documents.

    Args:
        known: The model.
        collection: Queries and documents.
        folder: Where the vectors are kept: `queries.vectors` and `documents.vectors`.
        advance: Called with how many more texts have vectors.

    Returns:
        The scores, and how many queries and documents were truncated.

    Raises:
        InputError: a text that the model refuses.
        ModelError: a vector is not finite or of another width.
        StorageError: the vectors cannot be written.
    """
    files = {name: RowFile(folder / f"{name}.vectors", np.float32, [known.dims]) for name in ("queries", "documents")}
    advance = advance or tell_nobody
    query_tasks = [known.query_task(task) for task in collection.tasks]
    _embed(known, collection.queries, query_tasks, "query", files["queries"], advance)
    document_tasks = [known.task] * len(collection.documents)
    _embed(known, collection.documents, document_tasks, "document", files["documents"], advance)
    scorer = VectorScorer(files["queries"].read(), files["documents"].read(), collection.num_candidates)
    return scorer, {name: file.tally for name, file in files.items()}


def _embed(
    known: KnownEmbedder, texts: TextStore, tasks: Sequence[str | None], role: Role, file: RowFile, advance: Advance
) -> None:
    """Go on where the file ends."""
    advance(file.num_rows)
    while file.num_rows < len(texts):
        block = range(file.num_rows, min(file.num_rows + TEXTS_AT_ONCE, len(texts)))
        own_tasks = [tasks[number] for number in block]
        vectors, num_truncated = _block_vectors(known, texts.read(block), own_tasks, role, advance)
        file.append(vectors, tally=num_truncated)


def _block_vectors(
    known: KnownEmbedder, texts: Sequence[str], tasks: Sequence[str | None], role: Role, advance: Advance
) -> tuple[Vectors, int]:
    """Vectors of a block [n, D], embedded together by task, and how many texts were truncated."""
    found = embed_by_task(known.embedder, texts, tasks, role=role, on_progress=advance)
    if found.vectors.shape != (len(texts), known.dims):
        shape = f"vectors of shape {found.vectors.shape}"
        raise ModelError(shape, expected=f"{len(texts)} of {known.dims} dims")
    bad = np.flatnonzero(~np.isfinite(found.vectors).all(axis=1))
    if len(bad):
        found_text = f"the vector of {texts[bad[0]][:60]!r} is not finite"
        raise ModelError(found_text, expected="numbers", do="check the model's weights")
    return found.vectors, found.num_truncated
