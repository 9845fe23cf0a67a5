"""`slimvec mine`: hard negatives for training records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from slimvec.cli.options import DimsOption, DtypeOption, FieldOption, ForceOption, RevisionOption, TaskOption
from slimvec.cli.record_options import (
    Bm25Option,
    CorpusOption,
    DataArgument,
    OnBadOption,
    PassagesOption,
    RecordFiles,
    RecordsOutputOption,
    ReportOption,
    RestartOption,
    SearchModelOption,
    WorkOption,
    bad_rows,
    kept_work,
    open_embedder,
    open_inputs,
    report_path,
    truncation_remarks,
)
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError, validation_summary

if TYPE_CHECKING:
    from slimvec.data.mining.mining_report import MiningReport
    from slimvec.data.mining.settings import MiningSettings

KEYS = {
    "output": "path of the records with their negatives",
    "report": "path of the report",
    "num_records": "records written; all that were read",
    "num_candidates": "different texts searched",
    "num_negatives": "negatives chosen in all",
    "num_short": "records that got fewer negatives than asked for",
    "first_rank": "best rank used, known answers not counted",
    "last_rank": "worst rank used",
    "dropped": "candidates taken out by margin, relative_margin or near_duplicate",
    "num_known": "known answers and queries themselves that stood among the documents found",
    "num_skipped": "bad rows left out",
    "resumed": "whether a killed run was gone on with",
    "scorer": "the model, or BM25",
}
Choice = Literal["sample", "top"]


def mine(
    terminal: Terminal,
    *,
    data: DataArgument,
    output: RecordsOutputOption,
    model: SearchModelOption = None,
    bm25: Bm25Option = False,
    corpus: CorpusOption = None,
    field: FieldOption = "text",
    passages: PassagesOption = None,
    num_negatives: Annotated[
        int, typer.Option("--negatives", "-n", min=1, help="Negatives wanted of each record.", metavar="N")
    ] = 7,
    first_rank: Annotated[
        int | None, typer.Option(min=1, help="Best rank used. Default: half of --last-rank.", metavar="N")
    ] = None,
    last_rank: Annotated[
        int | None,
        typer.Option(
            min=1, help="Worst rank used. Default: 100, less for a corpus of under 1,000 texts.", metavar="N"
        ),
    ] = None,
    relative_margin: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Negatives score below this share of the lowest positive's score; 0 for no such rule.",
            metavar="X",
        ),
    ] = 0.95,
    margin: Annotated[
        float | None,
        typer.Option(min=0, help="Negatives score at least this much less than the lowest positive.", metavar="X"),
    ] = None,
    choice: Annotated[Choice, typer.Option(help="Take any within the ranks by chance, or the best.")] = "sample",
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1, help="Leave out negatives that share this much (Jaccard) of their runs of three words "
            "with the query, a positive or another negative.", metavar="X",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the choice.")] = 0,
    on_bad: OnBadOption = "error",
    report: ReportOption = None,
    work: WorkOption = None,
    restart: RestartOption = False,
    task: TaskOption = None,
    dims: DimsOption = None,
    dtype: DtypeOption = "auto",
    revision: RevisionOption = None,
    force: ForceOption = False,
) -> Result:  # fmt: skip
    """Find hard negatives for training records with a model or BM25.

    Texts found for a query are taken if they are within the ranks and stay below the margins. Never taken are the
    positives of any record with the same query, texts equal to one of these or to the query. Records keep their
    positives, task, language and source; their negatives are replaced, and the scores of both are written. Fields that
    are not of this schema are not carried over. A killed run goes on where it was when the same command is run again.
    """
    from slimvec.data.mining.run import mine_negatives
    from slimvec.data.writers import check_records_output

    place, records = report_path(output, report), RecordFiles(data, passages, on_bad)
    check_records_output(output, force=force)
    terminal.reserve(output, place, force=force)
    records.check()
    settings = _settings(
        num_negatives=num_negatives,
        first_rank=first_rank,
        last_rank=last_rank,
        margin=margin,
        relative_margin=relative_margin or None,
        choice=choice,
        near_duplicates=near_duplicates,
        seed=seed,
    )
    embedder = open_embedder(terminal, model, bm25=bm25, revision=revision, dtype=dtype, dims=dims, task=task)
    inputs = open_inputs(
        terminal, records, output, embedder=embedder, corpus=corpus, field=field, work=work, restart=restart
    )
    terminal.kept = kept_work(inputs)
    done = mine_negatives(inputs, output, settings, force=force)
    done = done.model_copy(update={"bad_rows": bad_rows(terminal, records)})
    done.write(place, force=force)
    _tell(terminal, done, output, place)
    return {
        "output": str(output),
        "report": str(place),
        "num_skipped": records.passes[0].num_skipped,
        **{key: getattr(done, key) for key in KEYS if key in type(done).model_fields},
    }


def _settings(**values: Any) -> "MiningSettings":
    """Validate the settings, with errors of one line."""
    from pydantic import ValidationError

    from slimvec.data.mining.settings import MiningSettings

    try:
        return MiningSettings(**values)
    except ValidationError as error:
        raise InputError(validation_summary(error)) from error


def _tell(terminal: Terminal, report: "MiningReport", output: Path, place: Path) -> None:
    """Say what was done."""
    wanted = report.settings.num_negatives
    terminal.print(
        f"{report.num_records:,} records, {report.num_candidates:,} texts searched, ranks {report.first_rank} to "
        f"{report.last_rank}: {report.num_negatives:,} negatives",
        *[f"  {count:,} taken out by {rule.replace('_', ' ')}" for rule, count in report.dropped.items()],
        f"{output}: {report.num_records:,} records with negatives; {place}: the report",
    )
    if report.num_short:
        terminal.remark(f"{report.num_short:,} records got fewer than {wanted} negatives")
    truncation_remarks(terminal, report.num_truncated)
