"""`slimvec filter`: training records whose answers a search finds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.data.consistency.consistency_report import FilterReport

KEYS = {
    "output": "path of the records that were kept",
    "dropped_output": "path of the records that were dropped; null without --dropped",
    "report": "path of the report",
    "k": "a positive is kept when it is among the first k",
    "num_records": "records read",
    "num_kept": "records kept",
    "num_dropped": "records dropped",
    "num_positives_removed": "positives taken out of records that were kept",
    "num_candidates": "different texts searched",
    "at": "by k: how many records it drops, with a 95% interval of the share",
    "self_test": "by k: planted wrong pairs caught and other pairs lost; null without --self-test",
    "num_skipped": "bad rows left out",
    "resumed": "whether a killed run was gone on with",
    "scorer": "the model, or BM25",
}


def filter_(
    terminal: Terminal,
    *,
    data: DataArgument,
    output: RecordsOutputOption,
    model: SearchModelOption = None,
    bm25: Bm25Option = False,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, help="Keep a pair whose positive is among the first k.", metavar="K")
    ] = 50,
    corpus: CorpusOption = None,
    field: FieldOption = "text",
    passages: PassagesOption = None,
    dropped: Annotated[
        Path | None, typer.Option(help="Write the records that are dropped there.", metavar="FILE")
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant wrong pairs, and say how many each k catches and loses.")
    ] = False,
    plant: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Share of the records planted by --self-test.", metavar="X")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the wrong pairs of the self-test.")] = 0,
    on_bad: OnBadOption = "error",
    report: ReportOption = None,
    work: WorkOption = None,
    restart: RestartOption = False,
    task: TaskOption = None,
    dims: DimsOption = None,
    dtype: DtypeOption = "auto",
    revision: RevisionOption = None,
    force: ForceOption = False,
) -> Result:
    """Keep the training records whose positive a model or BM25 finds among the first k texts.

    The search is over the whole corpus. The other positives of the query, texts equal to one of these or to the query
    do not count as competitors; a text that scores the same as the positive does. Of several positives those are kept
    that are found; a record with none is dropped. The report tells what other k would drop, by source and by language.
    A killed run goes on where it was when the same command is run again.
    """
    from slimvec.data.consistency.run import filter_records
    from slimvec.data.writers import check_records_output

    place, records = report_path(output, report), RecordFiles(data, passages, on_bad)
    for path in [output, *([dropped] if dropped else [])]:
        check_records_output(path, force=force)
    terminal.reserve(output, dropped, place, force=force)
    records.check()
    embedder = open_embedder(terminal, model, bm25=bm25, revision=revision, dtype=dtype, dims=dims, task=task)
    inputs = open_inputs(
        terminal, records, output, embedder=embedder, corpus=corpus, field=field, work=work, restart=restart
    )
    terminal.kept = kept_work(inputs)
    done = filter_records(
        inputs,
        output,
        k=k,
        dropped=dropped,
        plant_share=plant if self_test else None,
        plant_seed=seed,
        force=force,
    )
    done = done.model_copy(update={"bad_rows": bad_rows(terminal, records)})
    done.write(place, force=force)
    _tell(terminal, done, output, place)
    known = done.model_dump(mode="json")
    return {
        "output": str(output),
        "dropped_output": None if dropped is None else str(dropped),
        "report": str(place),
        "num_skipped": records.passes[0].num_skipped,
        **{key: known[key] for key in KEYS if key in known},
    }


def _tell(terminal: Terminal, report: "FilterReport", output: Path, place: Path) -> None:
    """Say what was done."""
    terminal.print(
        f"{report.num_kept:,} of {report.num_records:,} records kept at k = {report.k}, "
        f"{report.num_candidates:,} texts searched",
        _table(report),
        f"{output}: the records kept; {place}: the report",
    )
    if report.num_kept == 0:
        terminal.remark("no record was kept")
    if report.num_candidates <= 10 * report.k:
        terminal.remark(
            f"k = {report.k} of only {report.num_candidates:,} texts says little; a larger --corpus or a smaller k "
            "says more"
        )
    truncation_remarks(terminal, report.num_truncated)


def _table(report: "FilterReport") -> "Table":
    """What each k drops, and what the self-test says of it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    headings = ["k", "dropped", "share"]
    if report.self_test is not None:
        headings += ["wrong pairs caught", "other pairs lost"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, line in enumerate(report.at):
        cells = [str(line.k), f"{line.dropped.count:,}", f"{line.dropped.share:.1%}"]
        table.add_row(*cells, *_self_test_cells(report, number))
    return table


def _self_test_cells(report: "FilterReport", number: int) -> Sequence[str]:
    if report.self_test is None:
        return ()
    line = report.self_test.at[number]
    return str(line.caught), str(line.lost)
