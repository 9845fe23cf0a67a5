"""From chunks to rows of the table: a block at a time is embedded and written in one commit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slimvec.files import FileState
from slimvec.ranking.bm25 import lexical_words
from slimvec.search.chunking import Chunk
from slimvec.search.documents import Document
from slimvec.search.finding import SourceFile
from slimvec.search.readers.kinds import Kind
from slimvec.search.store import ChunkTable
from slimvec.search.vectors import VectorColumns, Vectors

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

BLOCK_CHUNKS = 256
BLOCK_TOKENS = 8192
"""Chunks and tokens that are embedded and written together: what a killed run computes again, at most."""
_FIRST_CHUNKS = 8
"""Chunks of a run's first block that are embedded by themselves, so that progress and time left are told in seconds."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that is being indexed.

    Attributes:
        file: Where it lies.
        kind: Its kind.
        sha256: Its hash.
        state: Its state when it was hashed.
        is_stored: Whether chunks of an earlier state of it are in the table.
        num_done: Chunks of this state that are in the table already.
    """

    file: SourceFile
    kind: Kind
    sha256: str
    state: FileState
    is_stored: bool
    num_done: int


@dataclass(slots=True)
class _Pending:
    """A chunk that waits to be written."""

    file: ReadFile
    number: int
    chunk: Chunk
    vector: Vectors | None
    weight: float
    is_last: bool = False


class BlockWriter:
    """Embeds and writes chunks.

    Args:
        table: Where to.
        embedder: The index's model.
        columns: How vectors are held; None until the first vectors have given their centre.
        centred: Told the first vectors of an index that needs a centre; gives the columns.
        on_progress: Told the weight of chunks that are written.

    Attributes:
        num_chunks: Chunks written.
        num_commits: Times that something was written.
        num_tokens: Tokens of them, prompts included.
        num_truncated: Chunks that were longer than the model's limit.
        bad: Paths and reasons of chunks that have no vector.
    """

    def __init__(
        self,
        table: ChunkTable,
        embedder: "Embedder",
        columns: VectorColumns | None,
        *,
        centred: Callable[[Vectors], VectorColumns],
        on_progress: Callable[[float], None],
    ) -> None:
        self._table, self._embedder, self._columns = table, embedder, columns
        self._centred, self._on_progress = centred, on_progress
        self._pending: list[_Pending] = []
        self._counts: dict[str, int] = {}
        self.num_chunks = self.num_commits = self.num_tokens = self.num_truncated = 0
        self.bad: list[tuple[str, str]] = []

    def add(self, file: ReadFile, document: Document, chunks: Sequence[Chunk], *, late: bool, weight: float) -> None:
        """Take the chunks of a document; those that an earlier run wrote are passed over.

        Args:
            file: The file it is from.
            document: The document.
            chunks: Its chunks.
            late: Pool them from the states of the whole document.
            weight: What of the work the document is.

        Raises:
            SlimvecError: the document cannot be embedded as a whole.
        """
        path = str(file.file.path)
        first = self._counts.get(path, 0)
        self._counts[path] = first + len(chunks)
        left = chunks[max(0, file.num_done - first) :]
        if not left:
            self._on_progress(weight)
            return
        vectors = self._late_vectors(document, left) if late else None
        if late:
            self._on_progress(weight)
        for number, chunk in enumerate(left):
            vector = None if vectors is None else vectors[number]
            place = first + len(chunks) - len(left) + number
            self._pending.append(_Pending(file, place, chunk, vector, weight / len(left)))
        while (count := self._full()) < len(self._pending):  # the last waits: it may end its file
            self._write(self._pending[:count])

    def end(self, file: ReadFile) -> int:
        """Mark the end of a file.

        Returns:
            Chunks it has.
        """
        path = str(file.file.path)
        num_chunks = self._counts.pop(path, 0)
        if self._pending and self._pending[-1].file is file:
            self._pending[-1].is_last = True
        return num_chunks

    def drop(self, file: ReadFile) -> None:
        """Forget what waits of a file, which has turned out unreadable."""
        self._counts.pop(str(file.file.path), None)
        self._pending = [pending for pending in self._pending if pending.file is not file]

    def flush(self) -> None:
        """Write what is left."""
        while self._pending:
            self._write(self._pending[: self._full()])

    def _full(self) -> int:
        """How many of the waiting chunks make a block."""
        tokens = accumulate(pending.chunk.num_tokens for pending in self._pending)
        return min(BLOCK_CHUNKS, 1 + sum(1 for _ in takewhile(lambda total: total < BLOCK_TOKENS, tokens)))

    def _write(self, block: list[_Pending]) -> None:
        vectors = self._vectors(block)
        good = np.isfinite(vectors).all(axis=1)
        for place in np.flatnonzero(~good):
            pending = block[place]
            self.bad.append((str(pending.file.file.path), f"chunk {pending.number + 1} has no vector"))
        vectors[~good] = 0
        if self._columns is None:
            self._columns = self._centred(vectors[good])
        replaced = {
            str(pending.file.file.path)
            for pending in block
            if pending.file.is_stored and pending.file.num_done == 0 and pending.number == 0
        }
        self._table.write(self._rows(block, vectors), instead_of=replaced)
        self.num_chunks += len(block)
        self.num_commits += 1
        del self._pending[: len(block)]

    def _vectors(self, block: list[_Pending]) -> Vectors:
        """Vectors [N, D] of a block; a row without one is NaN."""
        found = np.empty((len(block), self._embedder.dims), dtype=np.float32)
        plain = [number for number, pending in enumerate(block) if pending.vector is None]
        if plain:
            num_first = 0 if self.num_chunks else _FIRST_CHUNKS
            for part in filter(None, (plain[:num_first], plain[num_first:])):
                found[part] = self._embedded([block[number] for number in part])
        for number, pending in enumerate(block):
            if pending.vector is not None:
                found[number] = pending.vector
        if self._embedder.spec.similarity == "cosine" and not self._embedder.spec.normalize:
            found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return found

    def _embedded(self, block: list[_Pending]) -> Vectors:
        """Vectors [N, D] of chunks by themselves."""
        share = sum(pending.weight for pending in block) / len(block)
        embedded = self._embedder.embed(
            [pending.chunk.content for pending in block],
            role="document",
            on_bad="mark",
            on_progress=lambda count: self._on_progress(count * share),
        )
        self.num_tokens += embedded.num_tokens
        self.num_truncated += embedded.num_truncated
        return embedded.vectors

    def _late_vectors(self, document: Document, chunks: Sequence[Chunk]) -> Vectors:
        """Vectors [C, D] of chunks within their document, run in windows where it is long."""
        spans = [(chunk.start, chunk.end) for chunk in chunks]
        overlap = self._embedder.spec.max_tokens // 4
        found = self._embedder.embed_chunks(document.text, chunks=spans, policy="window-mean", overlap_tokens=overlap)
        self.num_tokens += sum(found.num_tokens)
        return found.vectors

    def _rows(self, block: list[_Pending], vectors: Vectors) -> pa.Table:
        assert self._columns is not None
        schema = self._table.schema
        plain = pa.Table.from_pylist(
            [_row(pending) for pending in block],
            schema=pa.schema([field for field in schema if field.name not in self._columns.names]),
        )
        for name, array in self._columns.arrays(vectors).items():
            plain = plain.append_column(schema.field(name), array.cast(schema.field(name).type))
        return plain.select(schema.names)


def _row(pending: _Pending) -> dict[str, object]:
    file, chunk = pending.file, pending.chunk
    path = str(file.file.path)
    return {
        "id": f"{path}#{pending.number}",
        "path": path,
        "source": str(file.file.source),
        "kind": file.kind,
        "modified": datetime.fromtimestamp(file.state.mtime_ns // 10**9, tz=UTC).replace(tzinfo=None),
        "file_sha256": file.sha256,
        "file_state": json.dumps(file.state),
        "number": pending.number,
        "is_last": pending.is_last,
        "title": chunk.title,
        "record": chunk.record,
        "heading": chunk.heading,
        "page": chunk.page,
        "first_line": chunk.first_line,
        "last_line": chunk.last_line,
        "start": chunk.start,
        "end": chunk.end,
        "num_tokens": chunk.num_tokens,
        "text": chunk.text,
        "words": " ".join(lexical_words(chunk.content, split_identifiers=True)),
    }
