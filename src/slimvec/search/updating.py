"""Bringing an index up to date: new and changed files are read, those that are gone are removed, all others left alone.

Whatever a killed run had committed is kept: the next goes on behind it, within a long file too.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.data.bad_rows import BadRows
from slimvec.errors import InputError, ModelError, SlimvecError
from slimvec.files import FileState, sha256_of
from slimvec.frozen import Frozen
from slimvec.search.blocks import BlockWriter, ReadFile
from slimvec.search.chunking import chunk_document
from slimvec.search.finding import SourceFile, absolute, find_files, outermost
from slimvec.search.readers.kinds import kind_of, read_documents
from slimvec.search.settings import IndexDescription, IndexSettings
from slimvec.search.store import ChunkTable, StoredFile
from slimvec.search.vectors import VectorColumns, Vectors

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

_COMMITS_BEFORE_SETTLING = 256


class Fault(Frozen):
    """Something that could not be read.

    Attributes:
        path: The file.
        reason: What is wrong with it, or a part of it.
    """

    path: str
    reason: str


class UpdateReport(Frozen):
    """What an update did.

    Attributes:
        num_files: Files in the index now.
        num_chunks: Chunks in the index now.
        num_new: Files that were not in it.
        num_changed: Files that were, with other contents.
        num_removed: Files that are gone.
        num_unchanged: Files left alone.
        num_empty: Files that have been read and have no text in them.
        num_unknown: Files that no reader takes.
        num_written: Chunks embedded and written.
        num_tokens: Tokens embedded, prompts included.
        num_truncated: Chunks that were truncated at the model's limit.
        faults: What could not be read.
        seconds: It took.
    """

    num_files: int
    num_chunks: int
    num_new: int
    num_changed: int
    num_removed: int
    num_unchanged: int
    num_empty: int
    num_unknown: int
    num_written: int
    num_tokens: int
    num_truncated: int
    faults: tuple[Fault, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A version of an index.

    Attributes:
        data: Name of its data.
        version: Number of the version of its table.
        sources: Its sources.
    """

    data: str
    version: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update has to do.

    Attributes:
        seen: The version of the index that it is made for.
        sources: All that belongs to the index from now on.
        todo: Files to be read, with what the table holds of each.
        removed: Paths to be removed.
        num_unchanged: Files left alone.
        num_unknown: Files of no known kind.
        num_bytes: Size in bytes of the files to be read.
        faults: Folders and files that cannot be looked at; what the table holds of them stays.
    """

    seen: Seen
    sources: tuple[str, ...]
    todo: tuple[tuple[SourceFile, StoredFile | None], ...]
    removed: tuple[str, ...]
    num_unchanged: int
    num_unknown: int
    num_bytes: int
    faults: tuple[Fault, ...]


def plan_update(
    description: IndexDescription,
    table: ChunkTable,
    sources: Sequence[str | Path],
    forget: Sequence[str | Path],
    *,
    index: Path,
) -> Plan:
    """Compare what is on disk with what is in the table.

    A file whose size and times are those of its last reading is taken for unchanged; others are hashed when their turn
    comes.

    Args:
        description: What the index says of itself.
        table: Table of the index.
        sources: What belongs to the index from now on, too.
        forget: Sources that no longer do.
        index: Folder of the index.

    Raises:
        InputError: a source does not exist, or there is none; or what shall be forgotten is not one.
    """
    stored = table.files()
    chosen = _sources(description, [absolute(path) for path in sources], set(map(absolute, forget)), stored, index)
    found = find_files(chosen, without=index)
    present = {str(file.path) for file in found.files}
    todo = [
        (file, known)
        for file in found.files
        if (known := stored.get(str(file.path))) is None or not known.is_whole or known.state != _state(file.path)
    ]
    return Plan(
        seen=Seen(description.data, table.version, description.sources),
        sources=tuple(map(str, chosen)),
        todo=tuple(todo),
        removed=tuple(sorted(path for path in stored.keys() - present if not found.hides(path))),
        num_unchanged=len(found.files) - len(todo),
        num_unknown=found.num_unknown,
        num_bytes=sum(max(1, state.size) for file, _ in todo if (state := _state(file.path)) is not None),
        faults=tuple(Fault(path=_shown(path), reason=reason) for path, reason in found.unread),
    )


def _sources(
    description: IndexDescription, given: list[Path], forget: set[Path], stored: Collection[str], index: Path
) -> list[Path]:
    """Say what belongs to an index from now on. A file that was a source of its own and is gone is one no longer."""
    known = {Path(source) for source in description.sources}
    for path in forget - known:
        raise InputError(f"{path} is no source of {index}", expected=f"one of {', '.join(description.sources)}")
    gone = {path for path in known - forget - set(given) if not path.exists()}
    for path in gone:
        if str(path) not in stored or not path.parent.is_dir():
            raise InputError(
                f"{path} does not exist",
                expected="a file or folder, as it was",
                do=f"bring it back, or take it out with `slimvec index --to {index} --forget {path}`",
            )
    chosen = outermost({*given, *(known - forget - gone)})
    if not chosen:
        raise InputError(f"{index} has no sources", expected="a file or folder to index")
    return chosen


class Updater:
    """Carries out a plan.

    Args:
        table: Table of the index.
        embedder: Its model.
        settings: Settings of the index.
        columns: How vectors are held; None until the first vectors have given their centre.
        centred: As for `BlockWriter`.
        on_progress: Told how many more bytes of the files to be read are done.
    """

    def __init__(
        self,
        table: ChunkTable,
        embedder: "Embedder",
        settings: IndexSettings,
        columns: VectorColumns | None,
        *,
        centred: Callable[[Vectors], VectorColumns],
        on_progress: Callable[[float], None],
    ) -> None:
        self._table, self._embedder, self._settings = table, embedder, settings
        self._on_progress = on_progress
        self._writer = BlockWriter(table, embedder, columns, centred=centred, on_progress=on_progress)
        self._faults: list[Fault] = []
        self._num_new = self._num_changed = self._num_same = self._num_empty = 0

    def run(self, plan: Plan) -> UpdateReport:
        """Carry it out.

        Raises:
            ModelError: the model cannot embed.
            StorageError: the index cannot be written.
        """
        started = time.monotonic()
        self._table.remove(plan.removed)
        settled = 0
        for file, known in plan.todo:
            self._update(file, known)
            if self._writer.num_commits - settled >= _COMMITS_BEFORE_SETTLING:
                self._table.settle()
                settled = self._writer.num_commits
        self._writer.flush()
        self._table.settle()
        self._faults += [Fault(path=path, reason=reason) for path, reason in self._writer.bad]
        return UpdateReport(
            num_files=len(self._table.files()),
            num_chunks=len(self._table),
            num_new=self._num_new,
            num_changed=self._num_changed,
            num_removed=len(plan.removed),
            num_unchanged=plan.num_unchanged + self._num_same,
            num_empty=self._num_empty,
            num_unknown=plan.num_unknown,
            num_written=self._writer.num_chunks,
            num_tokens=self._writer.num_tokens,
            num_truncated=self._writer.num_truncated,
            faults=(*plan.faults, *self._faults),
            seconds=time.monotonic() - started,
        )

    def _update(self, file: SourceFile, known: StoredFile | None) -> None:
        """Read a file whose state is new, and write it if its contents are."""
        path = str(file.path)
        state = _state(file.path)
        kind = kind_of(file.path)
        assert kind is not None
        try:
            if state is None:
                raise InputError(f"{path} is gone", expected="a file")
            sha256 = _hash(file.path)
            is_same = known is not None and known.sha256 == sha256
            if is_same and known is not None and known.is_whole:
                self._num_same += 1
                self._on_progress(max(1, state.size))
                return
            num_done = known.num_chunks if known is not None and is_same else 0
            read = ReadFile(file, kind, sha256, state, known is not None, num_done)
            is_empty = self._read(read) == 0
        except (InputError, ModelError) as error:
            self._faults.append(Fault(path=path, reason=str(error).removeprefix(f"{path} ")))
            if known is not None:
                self._table.remove([path])
            self._on_progress(max(1, 0 if state is None else state.size))
            return
        self._num_empty += is_empty
        self._num_new += not is_empty and (known is None or is_same)
        self._num_changed += known is not None and not is_same

    def _read(self, read: ReadFile) -> int:
        """Read a file, and give its chunks to the writer: how many it has."""
        bad = BadRows("skip")
        left = float(max(1, read.state.size))
        try:
            for document in read_documents(read.file.path, field=self._settings.field, bad=bad):
                chunks = chunk_document(document, self._embedder.tokenizer, chunk_tokens=self._settings.chunk_tokens)
                weight = min(left, float(len(document.text))) if read.kind == "table" else left
                left -= weight
                self._writer.add(read, document, chunks, late=self._settings.late, weight=weight)
        except SlimvecError:
            self._writer.drop(read)
            raise
        self._on_progress(left)
        if bad.num_skipped:
            reason = f"{bad.num_skipped:,} rows left out, the last: {bad.latest}"
            self._faults.append(Fault(path=str(read.file.path), reason=reason))
        num_chunks = self._writer.end(read)
        if not num_chunks and read.is_stored:
            self._table.remove([str(read.file.path)])
        return num_chunks


def _shown(path: Path) -> str:
    """Write a path so that it is text, whatever its name is."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", expected="a readable file") from error


def _state(path: Path) -> FileState | None:
    """The state of a file; None when it has gone meanwhile."""
    try:
        return FileState.of(path)
    except OSError:
        return None
