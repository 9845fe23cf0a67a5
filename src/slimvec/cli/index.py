"""`slimvec index`: a user's own documents into an index, and kept up to date."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slimvec.cli.failures import AGAIN
from slimvec.cli.models import load_embedder
from slimvec.cli.options import DEFAULT_MODEL, Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError
from slimvec.reports.amounts import clock, counted, size

if TYPE_CHECKING:
    from slimvec.search.index import Index
    from slimvec.search.settings import IndexDescription
    from slimvec.search.updating import UpdateReport

KEYS = {
    "index": "path of the index",
    "model": "the model's name, as the index keeps it",
    "identity": "hash of all that decides the model's vectors",
    "num_files": "files in the index now",
    "num_chunks": "chunks in the index now",
    "num_new": "files that were not in it before",
    "num_changed": "files that were, with other contents",
    "num_removed": "files that are gone",
    "num_unchanged": "files left alone",
    "num_empty": "files that were read and have no text",
    "num_unknown": "files of kinds that are not read",
    "num_written": "chunks embedded and written",
    "num_tokens": "tokens embedded, prompts included",
    "num_truncated": "chunks that were longer than the model's limit and were truncated",
    "faults": "what could not be read: path and reason of each",
    "approximation": "the approximate index: num_partitions, num_probes, recall, num_queries, num_chunks; or null",
    "num_bytes": "size of the index on disk",
    "seconds": "of reading, embedding and writing",
}


@dataclass(frozen=True)
class IndexOptions(Loading):
    """How an index is made, and its model loaded.

    Options:
        field F: Field with the text in tables; default text, content, body, ...
    """

    vectors: Literal["float32", "int8", "binary"] | None = None
    chunk_tokens: int | None = None
    late: bool | None = None
    field: str | None = None
    approximate: bool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Those of an index's settings that were given."""
        names = ("chunk_tokens", "vectors", "late", "field")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def index(
    terminal: Terminal,
    *,
    sources: list[Path] | None = None,
    to: Path,
    forget: list[Path] | None = None,
    model: str | None = None,
    options: IndexOptions,
) -> Result:
    """Index files and folders, to search them with `slimvec search --index`.

    Reads text, Markdown, HTML, PDF, .docx, source code, and tables (.jsonl, .csv, .tsv, .parquet: a document a row).
    Run again, it reads what is new or changed and removes what is gone. A run that was stopped, in whatever way, is
    gone on with by the same command. Hidden files are passed over; what cannot be read is named at the end.

    Positional:
        sources [PATH]...: Files and folders; default those it has already.

    Options:
        to INDEX: Folder of the index; made if it is new.
        forget PATH: A file or folder that shall belong to it no longer.
        model -m M: Model of a new index: a folder or name; default {DEFAULT_MODEL}.
    """
    from slimvec.search.finding import check_sources
    from slimvec.search.index import Index
    from slimvec.search.settings import SETTINGS_NAME

    terminal.kept = lambda: f"{AGAIN} to go on from {to}"
    if (to / SETTINGS_NAME).is_file():
        _check_same(to, options)
        found = open_index(terminal, to, model, options)
    else:
        if not sources:
            raise InputError(f"{to} is not an index", expected="files or folders to make one from")
        check_sources(sources)
        name = model or DEFAULT_MODEL
        embedder = load_embedder(terminal, name, options)
        found = Index.create(to, embedder, model=name, revision=options.revision, **options.settings)
    report = update_index(terminal, found, sources or [], forget or [], approximate=options.approximate)
    return describe_update(terminal, found, report)


def update_index(
    terminal: Terminal,
    index: "Index",
    sources: Sequence[Path] = (),
    forget: Sequence[Path] = (),
    *,
    approximate: bool | None = None,
) -> "UpdateReport":
    """Bring an index up to date, with progress. Errors as for `Index.update`."""
    with index.writing():
        with terminal.task("looking for what has changed"):
            plan = index.plan(sources, forget=forget)
        with terminal.task("indexing", total=plan.num_bytes) as progress:

            def step(description: str) -> None:
                progress.update(description=description, completed=0.0, total=None, detail="")

            return index.update(
                sources, forget=forget, plan=plan, approximate=approximate, on_progress=progress.advance, on_step=step
            )


def describe_update(terminal: Terminal, index: "Index", report: "UpdateReport") -> Result:
    """Say what an update did, and give it as JSON."""
    rate = report.num_written / max(report.seconds, 1e-3)
    done = f"{counted(report.num_written, 'chunk')} in {clock(report.seconds)} ({rate:,.1f} a second)"
    changes = {
        "new": report.num_new, "changed": report.num_changed, "removed": report.num_removed,
        "unchanged": report.num_unchanged, "empty": report.num_empty, "of other kinds": report.num_unknown,
    }  # fmt: skip
    files = ", ".join(f"{count:,} {name}" for name, count in changes.items() if count) or "none"
    num_bytes = index.num_bytes
    terminal.print(
        f"files: {files}; {done}" if report.num_written else f"files: {files}",
        f"{index.folder}: {counted(report.num_files, 'file')}, {counted(report.num_chunks, 'chunk')}, "
        f"{size(num_bytes)}",
    )
    approximation = index.description.approximation
    if approximation is not None:
        terminal.print(
            f"approximate index: finds {approximation.recall:.1%} of the nearest ten, measured with "
            f"{approximation.num_queries} sentences of these documents"
        )
    terminal.truncated(report.num_truncated, "chunks")
    terminal.not_read([f"{fault.path}: {fault.reason}" for fault in report.faults])
    return {
        "index": index.folder,
        "model": index.description.model,
        "identity": index.description.identity.sha256,
        **dict(report),
        "approximation": approximation,
        "num_bytes": num_bytes,
    }


def open_index(terminal: Terminal, to: Path, model: str | None, loading: Loading, *, load: bool = True) -> "Index":
    """Open an index that there is, with the model asked for or its own, or without if none is to be loaded.

    Raises:
        InputError: there is no index.
        ModelError: another model made it.
    """
    from slimvec.search.index import Index
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription

    said = IndexDescription.read(to / SETTINGS_NAME)
    if not load:
        return Index.open(to)
    name, loading = index_model(said, model, loading)
    return Index.open(to, embedder=load_embedder(terminal, name, loading), name=name)


def index_model(said: "IndexDescription", model: str | None, loading: Loading) -> tuple[str, Loading]:
    """Give the model asked for, or the one that made an index, and how it is loaded: as wide as the index is.

    A revision without a model is another one of the index's own.
    """
    revision = loading.revision or (None if model else said.revision)
    return model or said.model, Loading(said.identity.spec.dims, loading.dtype, revision)


def _check_same(to: Path, options: IndexOptions) -> None:
    """Refuse settings that are not those of an index.

    Raises:
        InputError: one is another.
    """
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription

    said = IndexDescription.read(to / SETTINGS_NAME)
    present = {**said.settings.model_dump(), "dims": said.identity.spec.dims}
    asked = options.settings if options.dims is None else {"dims": options.dims, **options.settings}
    for name, value in asked.items():
        if present[name] != value:
            raise InputError(
                f"{to} was made with {name} {present[name]}, not {value}",
                expected="the settings it was made with, or none",
                do=f"change them with `slimvec reindex {to}`",
            )
