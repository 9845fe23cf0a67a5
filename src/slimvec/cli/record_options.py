"""What `mine` and `filter` share: their options, opening records, corpus and model, and progress."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as data_field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from slimvec.cli.failures import AGAIN
from slimvec.cli.models import describe_model, load_embedder
from slimvec.cli.terminal import Terminal
from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.data.bad_rows import BadRows, BadRowsReport
    from slimvec.data.mining.embedding import KnownEmbedder
    from slimvec.data.mining.preparation import Inputs, Stage
    from slimvec.data.records import Record

OnBad = Literal["error", "skip"]
"""The policies of `slimvec.data.bad_rows`, written again to keep `--help` fast."""

DataArgument = Annotated[
    list[str],
    typer.Argument(
        help="Training records: .jsonl, .jsonl.gz or .parquet files, or hf:owner/name[:config][:split].",
        metavar="DATA",
    ),
]
RecordsOutputOption = Annotated[Path, typer.Option("--output", "-o", help="Where to write: .jsonl or .jsonl.gz.")]
SearchModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Search with this model: a folder, a .gguf file, a built-in name or a hub name.",
        metavar="M",
    ),
]  # fmt: skip
Bm25Option = Annotated[bool, typer.Option("--bm25", help="Search by words with BM25 instead of a model.")]
CorpusOption = Annotated[
    Path | None,
    typer.Option(
        help="Texts to search: .txt, .jsonl, .jsonl.gz or .parquet. Default: all positives and negatives of the data.",
        metavar="FILE",
    ),
]
PassagesOption = Annotated[
    Path | None,
    typer.Option(help="Texts by id, for records that hold positive_id and negative_ids.", metavar="FILE"),
]
OnBadOption = Annotated[OnBad, typer.Option(help="Bad rows: stop at the first, or leave them out and count them.")]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for vectors and results of a run under way, kept at the end. Default: OUTPUT.work, removed at "
        "the end.",
        metavar="DIR",
    ),
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Throw away what a killed run left in the work folder.")]
ReportOption = Annotated[
    Path | None, typer.Option(help="Where to write the report. Default: OUTPUT.report.json.", metavar="FILE")
]


@dataclass
class RecordFiles:
    """The records of some files, opened again for every pass.

    Attributes:
        paths: Files and hub datasets.
        passages: Texts by id.
        policy: For bad rows.
        passes: What each pass left out; the same every time.
    """

    paths: Sequence[str]
    passages: Path | None
    policy: OnBad
    passes: "list[BadRows]" = data_field(default_factory=list)

    def __call__(self) -> "Iterator[Record]":
        """Read all records."""
        from slimvec.data.bad_rows import BadRows
        from slimvec.data.readers import read_passages, read_records

        bad = BadRows(self.policy)
        self.passes.append(bad)
        passages = None if self.passages is None else read_passages(self.passages)
        return chain.from_iterable(read_records(path, passages=passages, bad=bad) for path in self.paths)

    def check(self) -> None:
        """See that the files are there, before a model is loaded for them.

        Raises:
            InputError: one is not.
        """
        from slimvec.data.hub import HUB_PREFIX, hub_source
        from slimvec.data.tables import check_file

        for path in self.paths:
            if path.startswith(HUB_PREFIX):
                hub_source(path)
            else:
                check_file(Path(path))
        if self.passages is not None:
            check_file(self.passages)


def open_inputs(
    terminal: Terminal,
    records: RecordFiles,
    output: Path,
    *,
    embedder: "KnownEmbedder | None",
    corpus: Path | None,
    field: str,
    work: Path | None,
    restart: bool,
) -> "Inputs":
    """Put together what a search runs on.

    Args:
        terminal: Shows progress.
        records: The data.
        output: What the work folder is named after.
        embedder: The model; None for BM25.
        corpus: File of the texts to search; None for those of the data.
        field: Its field with the text.
        work: Work folder, kept at the end; None for one beside the output, removed at the end.
        restart: Throw away what a killed run left.
    """
    from slimvec.data.mining.preparation import Inputs
    from slimvec.data.readers import read_texts

    return Inputs(
        records=records,
        embedder=embedder,
        corpus=None if corpus is None else lambda: read_texts(corpus, field=field),
        work=work or output.parent / f"{output.name}.work",
        stage=_stage(terminal),
        restart=restart,
        keep_work=work is not None,
    )


def open_embedder(
    terminal: Terminal,
    model: str | None,
    *,
    bm25: bool,
    revision: str | None,
    dtype: str,
    dims: int | None,
    task: str | None,
) -> "KnownEmbedder | None":
    """Load the model asked for; None for BM25.

    Raises:
        InputError: neither or both were asked for.
    """
    if (model is None) == (not bm25):
        found = "both --model and --bm25" if bm25 else "neither --model nor --bm25"
        raise InputError(found, expected="one of them")
    if model is None:
        return None
    embedder = load_embedder(terminal, model, revision=revision, dtype=dtype, dims=dims)
    from slimvec.data.mining.embedding import KnownEmbedder

    identity = describe_model(embedder, model, revision=revision)
    return KnownEmbedder(embedder, embedder.dims, identity, task)


def report_path(output: Path, report: Path | None) -> Path:
    """Where the report goes."""
    return report or output.parent / f"{output.name}.report.json"


def kept_work(inputs: "Inputs") -> Callable[[], str]:
    """Give what tells who stops the command how to go on."""
    from slimvec.data.mining.workspace import is_claimed

    return lambda: f"{AGAIN} to go on from {inputs.work}" if is_claimed(inputs.work) else ""


def bad_rows(terminal: Terminal, records: RecordFiles) -> "BadRowsReport":
    """Say how many rows were left out, and give their report; every pass leaves out the same."""
    found = records.passes[0]
    for line in [*found.unread_columns(), *filter(None, [found.summary()])]:
        terminal.remark(line)
    return found.report()


def truncation_remarks(terminal: Terminal, num_truncated: "Mapping[str, int]") -> None:
    """Say how many texts were truncated."""
    for kind, count in num_truncated.items():
        if count:
            terminal.remark(f"{count:,} {kind} were longer than the model takes and were truncated")


def _stage(terminal: Terminal) -> "Stage":
    @contextmanager
    def stage(description: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        with terminal.task(description, total=total, unit=unit) as progress:

            def advance(amount: int) -> None:
                done = progress.completed + amount
                progress.update(completed=done, detail="" if total else f"{done:,.0f} {unit}")

            yield advance

    return stage
