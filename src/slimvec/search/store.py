"""The chunks of an index in a LanceDB table. Every write is one commit of LanceDB: there wholly, or not at all.

A row says which file its chunk is from, with that file's hash, so that the table alone tells what is done: a file is
whole when its last chunk is there. Nothing else has to agree with it, whenever a process is killed.

Words for full-text search are split by slimvec (`ranking.bm25`), because LanceDB's tokenizers take a clause of Chinese
or Thai for one word; LanceDB's inverted index holds them and ranks by BM25, on disk and in step with the table.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimvec.errors import InputError, SlimvecError
from slimvec.files import FileState
from slimvec.optional import require
from slimvec.ranking.fusion import Ranked
from slimvec.search.quantized import num_bytes
from slimvec.search.settings import VectorKind

Vectors = NDArray[np.float32]
TABLE = "chunks"
SHOWN = (
    "path", "source", "kind", "modified", "number", "title", "record", "heading", "page", "first_line", "last_line",
    "start", "end", "num_tokens", "text",
)  # fmt: skip
"""Columns that a hit is made of."""
_KEEP_VERSIONS = timedelta(minutes=10)  # readers in other processes may be in the middle of a search
_PATHS_AT_ONCE = 500
_RUST_PLACE = re.compile(r",?\s*\S+\.rs:\d+:\d+")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the table holds of a file.

    Attributes:
        sha256: SHA-256 of the file when it was read.
        state: State of the file then.
        source: The source it belongs to.
        num_chunks: Chunks that are there.
        is_whole: Whether these are all.
    """

    sha256: str
    state: FileState
    source: str
    num_chunks: int
    is_whole: bool


def vector_columns(kind: VectorKind, dims: int) -> dict[str, pa.DataType]:
    """Columns that hold the vectors."""
    if kind == "float32":
        return {"vector": pa.list_(pa.float32(), dims)}
    bits = pa.list_(pa.uint8(), num_bytes(dims))
    if kind == "binary":
        return {"bits": bits, "magnitudes": bits, "levels_scale": pa.float32()}
    return {"bits": bits, "codes": pa.list_(pa.int8(), dims), "codes_scale": pa.float32()}


def table_schema(kind: VectorKind, dims: int) -> pa.Schema:
    """Give the schema of the table."""
    columns = {
        "id": pa.string(),
        "path": pa.string(),
        "source": pa.string(),
        "kind": pa.string(),
        "modified": pa.timestamp("s"),
        "file_sha256": pa.string(),
        "file_state": pa.string(),
        "number": pa.int32(),
        "is_last": pa.bool_(),
        "title": pa.string(),
        "record": pa.string(),
        "heading": pa.string(),
        "page": pa.int32(),
        "first_line": pa.int32(),
        "last_line": pa.int32(),
        "start": pa.int64(),
        "end": pa.int64(),
        "num_tokens": pa.int32(),
        "text": pa.string(),
        "words": pa.string(),
        **vector_columns(kind, dims),
    }
    return pa.schema(list(columns.items()))


class IndexDataError(SlimvecError):
    """The data of an index are missing or damaged."""

    exit_code = 2


@contextmanager
def readable(index: Path) -> Iterator[None]:
    """Turn LanceDB's errors about damaged files into one line.

    Args:
        index: Folder of the index, for the message.

    Raises:
        IndexDataError: the body met data that cannot be read.
    """
    try:
        yield
    except RuntimeError as error:  # what LanceDB raises of its own is nothing more special
        reason = str(error)
        if not reason.startswith("lance error: "):
            raise
        shown = _RUST_PLACE.sub("", reason.removeprefix("lance error: "))
        raise IndexDataError(
            f"the data of {index} cannot be read: {shown}", do=f"build them anew with `slimvec reindex {index}`"
        ) from error


class ChunkTable:
    """The table.

    Args:
        folder: Folder of the LanceDB database.
        kind: How vectors are held.
        dims: Their width.
        create: Make the table if it is missing.

    Raises:
        InputError: an older version of slimvec made it, whose vectors are held otherwise.
        IndexDataError: it is missing, without `create`, or damaged.
    """

    def __init__(self, folder: Path, *, kind: VectorKind, dims: int, create: bool = False) -> None:
        lancedb = require("lancedb", purpose="an index")
        self.schema = table_schema(kind, dims)
        is_there = (folder / f"{TABLE}.lance").is_dir()
        if not (create or is_there):
            raise IndexDataError(
                f"{folder.parent} has lost its data: {folder.name} is missing or empty",
                do=f"run `slimvec index --to {folder.parent}`, which reads all files again",
            )
        database = lancedb.connect(str(folder))
        if not is_there:
            self._table: Any = database.create_table(TABLE, schema=self.schema)
            return
        with readable(folder.parent):
            self._table = database.open_table(TABLE)
        if set(self._table.schema.names) != set(self.schema.names):
            raise InputError(
                f"{folder.parent} holds {kind} vectors as an older version did",
                expected="an index of this version",
                do="index its files again, into a new folder",
            )

    def __len__(self) -> int:
        return int(self._table.count_rows())

    @property
    def version(self) -> int:
        """Number of the version that is read: of its last commit, as far as it was seen."""
        return int(self._table.version)

    def count(self, where: str | None) -> int:
        """Count the rows that a filter leaves."""
        return int(self._table.count_rows(where))

    def refresh(self) -> None:
        """See what other processes have written."""
        self._table.checkout_latest()

    def files(self) -> dict[str, StoredFile]:
        """Give what the table holds, by path."""
        columns = ["path", "source", "file_sha256", "file_state", "is_last"]
        found: dict[str, StoredFile] = {}
        counts: dict[str, int] = {}
        whole: set[str] = set()
        for batch in self._table.search().select(columns).limit(len(self) or 1).to_batches():
            for row in batch.to_pylist():
                path = row["path"]
                counts[path] = counts.get(path, 0) + 1
                if row["is_last"]:
                    whole.add(path)
                if path not in found:
                    state = FileState(*json.loads(row["file_state"]))
                    found[path] = StoredFile(row["file_sha256"], state, row["source"], 0, False)
        return {
            path: StoredFile(file.sha256, file.state, file.source, counts[path], path in whole)
            for path, file in found.items()
        }

    def write(self, rows: pa.Table, *, instead_of: Collection[str] = ()) -> None:
        """Add rows, in one commit.

        Args:
            rows: With the table's schema.
            instead_of: Paths of files whose present rows go in the same commit.
        """
        if not instead_of:
            self._table.add(rows)
            return
        merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.when_not_matched_by_source_delete(path_filter(instead_of)).execute(rows)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove the rows of files."""
        for start in range(0, len(paths), _PATHS_AT_ONCE):
            self._table.delete(path_filter(paths[start : start + _PATHS_AT_ONCE]))

    def settle(self) -> None:
        """Bring the indexes up to date and join small pieces; every row is found without, only slower."""
        from lancedb.index import FTS

        if "words_idx" not in self.indexes():
            words = FTS(
                base_tokenizer="whitespace", stem=False, remove_stop_words=False, ascii_folding=False,
                lower_case=False, max_token_length=None,
            )  # fmt: skip
            self._table.create_index("words", config=words)
        self._table.optimize(cleanup_older_than=_KEEP_VERSIONS)

    def indexes(self) -> set[str]:
        """Names of the indexes that there are."""
        return {index.name for index in self._table.list_indices()}

    def index_vectors(self, column: str, num_partitions: int) -> None:
        """Divide the vectors of a column into cells, for approximate search."""
        from lancedb.index import IvfFlat

        metric = "hamming" if column == "bits" else "dot"
        self._table.create_index(column, config=IvfFlat(distance_type=metric, num_partitions=num_partitions))

    def drop_vector_index(self, column: str) -> None:
        """Go back to exact search."""
        if f"{column}_idx" in self.indexes():
            self._table.drop_index(f"{column}_idx")

    def search_words(self, words: Sequence[str], *, top: int, where: str | None) -> Ranked:
        """Rank by BM25 over words; rows without any of them are not given."""
        from lancedb.query import MatchQuery

        if not words:
            return Ranked([], [])
        query = self._table.search(MatchQuery(" ".join(words), "words"), query_type="fts")
        found = _where(query, where).select(["_score"]).with_row_id(True).limit(top).to_arrow()
        return Ranked(found["_rowid"].to_pylist(), found["_score"].to_pylist())

    def search_column(
        self,
        column: str,
        query: NDArray[Any],
        *,
        top: int,
        where: str | None,
        num_probes: int | None,
        also: Sequence[str] = (),
    ) -> pa.Table:
        """Find the nearest rows by `vector` (largest product) or `bits` (fewest that differ).

        Args:
            column: `vector` or `bits`.
            query: [D] float32, or [B] uint8.
            top: How many.
            where: Filter; None for all rows.
            num_probes: Cells to look into; None searches all rows.
            also: Further columns.

        Returns:
            `_rowid`, `_distance` and those columns, the nearest first.
        """
        search = self._table.search(query, vector_column_name=column)
        search = search.distance_type("hamming" if column == "bits" else "dot")
        search = search.bypass_vector_index() if num_probes is None else search.nprobes(num_probes)
        return _where(search, where).select([*also, "_distance"]).with_row_id(True).limit(top).to_arrow()

    def take(self, rows: Sequence[int], columns: Sequence[str] = SHOWN) -> list[dict[str, Any]]:
        """Read rows by their ids within LanceDB, in that order."""
        if not rows:
            return []
        found = self._table.take_row_ids(list(rows)).select(list(columns)).with_row_id().to_arrow().to_pylist()
        by_id = {row["_rowid"]: row for row in found}
        return [by_id[row] for row in rows]

    def sample(self, count: int, seed: int) -> list[dict[str, Any]]:
        """Read some rows by chance, without their vectors."""
        places = np.random.default_rng(seed).choice(len(self), size=min(count, len(self)), replace=False)
        found = self._table.take_offsets(sorted(places.tolist())).select(list(SHOWN)).to_arrow()
        return list(found.to_pylist())

    def rows_of(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Give the chunks of a file in their order."""
        found = self._table.search().where(path_filter([path])).select(list(SHOWN)).limit(len(self) or 1).to_arrow()
        yield from sorted(found.to_pylist(), key=lambda row: int(row["number"]))


def path_filter(paths: Collection[str]) -> str:
    """Filter of LanceDB for some paths."""
    return f"path IN ({', '.join(quoted(path) for path in sorted(paths))})"


def quoted(text: str) -> str:
    """Write a text as LanceDB's SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _where(query: Any, where: str | None) -> Any:
    """Filter before ranking, so that as many rows are found as were asked for."""
    return query if where is None else query.where(where, prefilter=True)
