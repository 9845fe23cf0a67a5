"""What the commands about training records share: reading them, searching for them, where they and a report go."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeVar

from slimvec.cli.failures import AGAIN
from slimvec.cli.models import describe_model, load_embedder
from slimvec.cli.options import Loading
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.cli.values import exactly_one

if TYPE_CHECKING:
    from slimvec.data.bad_rows import BadRows
    from slimvec.data.mining.preparation import Inputs, Stage
    from slimvec.data.mining.scoring import KnownEmbedder
    from slimvec.data.records import Record

OnBad = Literal["error", "skip"]
"""The policies of `slimvec.data.bad_rows`, written again to keep `--help` fast."""


@dataclass
class RecordFiles:
    """The records of some files, opened again for every pass.

    Attributes:
        passes: What each pass left out; the same every time.

    Positional:
        data DATA: Training records: .jsonl, .jsonl.gz or .parquet files, or hf:owner/name[:config][:split].

    Options:
        passages FILE: Texts by id, for records that hold positive_id and negative_ids.
        on_bad: Bad rows: stop at the first, or leave them out and count them.
    """

    data: list[str]
    passages: Path | None = None
    on_bad: OnBad = "error"
    passes: "list[BadRows]" = field(default_factory=list, init=False)

    def __call__(self) -> "Iterator[Record]":
        """Read all records."""
        from slimvec.data.bad_rows import BadRows
        from slimvec.data.readers import read_passages, read_records

        bad = BadRows(self.on_bad)
        self.passes.append(bad)
        passages = None if self.passages is None else read_passages(self.passages)
        return chain.from_iterable(read_records(path, passages=passages, bad=bad) for path in self.data)

    def check(self) -> None:
        """See that the files are there, before a model is loaded for them.

        Raises:
            InputError: one is not.
        """
        from slimvec.data.hub import HUB_PREFIX, hub_source
        from slimvec.data.tables import check_file

        for path in self.data:
            if path.startswith(HUB_PREFIX):
                hub_source(path)
            else:
                check_file(Path(path))
        if self.passages is not None:
            check_file(self.passages)


class _Report(Protocol):
    """A report about records."""

    def model_copy(self, *, update: Mapping[str, object]) -> Self: ...

    def write(self, path: Path, *, force: bool) -> None: ...


_AnyReport = TypeVar("_AnyReport", bound=_Report)


@dataclass(frozen=True)
class RecordsOutput:
    """Where records go, and a report about them.

    Options:
        output -o: Where to write: .jsonl or .jsonl.gz.
        report FILE: Where to write the report. Default: OUTPUT.report.json.
    """

    output: Path
    report: Path | None = None
    force: bool = False

    @property
    def report_path(self) -> Path:
        """Where the report goes."""
        return self.report or self.output.parent / f"{self.output.name}.report.json"

    def reserve(self, terminal: Terminal, more: Path | None = None) -> None:
        """Hold the outputs, and that of further records if there is one. Errors as for `Terminal.reserve`."""
        from slimvec.data.writers import check_records_output

        for path in filter(None, [self.output, more]):
            check_records_output(path, force=self.force)
        terminal.reserve(self.output, more, self.report_path, force=self.force)

    def write_report(self, terminal: Terminal, report: _AnyReport, records: RecordFiles) -> _AnyReport:
        """Add what was left out of the records to their report, say it, and write the report."""
        found = records.passes[0]  # every pass leaves out the same
        for line in [*found.unread_columns(), *filter(None, [found.summary()])]:
            terminal.remark(line)
        whole = report.model_copy(update={"bad_rows": found.report()})
        whole.write(self.report_path, force=self.force)
        return whole

    def summary(self, report: object, keys: Iterable[str], **more: object) -> Result:
        """Give what a command's JSON holds: where everything is, and what the report has under the same names."""
        return {"output": self.output, "report": self.report_path, **more, **named(report, keys)}


@dataclass(frozen=True)
class RecordSearch:
    """A search for what records ask.

    Options:
        model -m M: Search with this model: a folder, a .gguf file, a built-in name or a hub name.
        bm25: Search by words with BM25 instead of a model.
        corpus FILE: Texts to search: .txt, .jsonl, .jsonl.gz or .parquet. Default: all positives and negatives of the
            data.
        work DIR: Folder for vectors and results of a run under way, kept at the end. Default: OUTPUT.work, removed at
            the end.
    """

    model: str | None = None
    bm25: bool = False
    corpus: Path | None = None
    field: str = "text"
    work: Path | None = None
    restart: bool = False
    task: str | None = None

    def open(self, terminal: Terminal, records: RecordFiles, output: Path, loading: Loading) -> "Inputs":
        """Load the model, and put together what a search runs on; one who stops it is told how to go on.

        Raises:
            InputError: neither a model nor BM25 was asked for, or both.
        """
        embedder = self._embedder(terminal, loading)
        from slimvec.data.mining.preparation import Inputs
        from slimvec.data.mining.workspace import is_claimed
        from slimvec.data.texts import read_texts

        corpus, work = self.corpus, self.work or output.parent / f"{output.name}.work"
        terminal.kept = lambda: f"{AGAIN} to go on from {work}" if is_claimed(work) else ""
        return Inputs(
            records=records,
            embedder=embedder,
            corpus=None if corpus is None else lambda: read_texts(corpus, field=self.field),
            work=work,
            stage=_stage(terminal),
            restart=self.restart,
            keep_work=self.work is not None,
        )

    def _embedder(self, terminal: Terminal, loading: Loading) -> "KnownEmbedder | None":
        """Load the model; None for BM25."""
        exactly_one(model=self.model, bm25=self.bm25)
        if self.model is None:
            return None
        embedder = load_embedder(terminal, self.model, loading)
        from slimvec.data.mining.scoring import KnownEmbedder

        identity = describe_model(embedder, self.model, revision=loading.revision)
        return KnownEmbedder(embedder, embedder.dims, identity, self.task, embedder.spec.prompts)


def _stage(terminal: Terminal) -> "Stage":
    @contextmanager
    def stage(description: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        with terminal.task(description, total=total, unit=unit) as progress:
            yield progress.advance

    return stage
