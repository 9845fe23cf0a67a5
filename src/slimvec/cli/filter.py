"""`slimvec filter`: training records whose answers a search finds."""

from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.options import Loading
from slimvec.cli.records import RecordFiles, RecordSearch, RecordsOutput
from slimvec.cli.tables import table
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
    records: RecordFiles,
    into: RecordsOutput,
    search: RecordSearch,
    k: int = 50,
    dropped: Path | None = None,
    self_test: bool = False,
    plant: float = 0.1,
    seed: int = 0,
    loading: Loading,
) -> Result:
    """Keep the training records whose positive a model or BM25 finds among the first k texts.

    The search is over the whole corpus. The other positives of the query, texts equal to one of these or to the query
    do not count as competitors; a text that scores the same as the positive does. Of several positives those are kept
    that are found; a record with none is dropped. The report tells what other k would drop, by source and by language.
    A killed run goes on where it was when the same command is run again.

    Options:
        k -k K (from 1): Keep a pair whose positive is among the first k.
        dropped FILE: Write the records that are dropped there.
        self_test: Plant wrong pairs, and say how many each k catches and loses.
        plant X (0.001 to 0.999): Share of the records planted by --self-test.
        seed (from 0): Random seed for the wrong pairs of the self-test.
    """
    from slimvec.data.consistency.run import filter_records

    into.reserve(terminal, dropped)
    records.check()
    inputs, share = search.open(terminal, records, into.output, loading), plant if self_test else None
    done = filter_records(
        inputs, into.output, k=k, dropped=dropped, plant_share=share, plant_seed=seed, force=into.force
    )
    done = into.write_report(terminal, done, records)
    _tell(terminal, done, into)
    return into.summary(done, KEYS, dropped_output=dropped, num_skipped=records.passes[0].num_skipped)


def _tell(terminal: Terminal, report: "FilterReport", into: RecordsOutput) -> None:
    """Say what was done."""
    terminal.print(
        f"{report.num_kept:,} of {report.num_records:,} records kept at k = {report.k}, "
        f"{report.num_candidates:,} texts searched",
        _table(report),
        f"{into.output}: the records kept; {into.report_path}: the report",
    )
    if report.num_kept == 0:
        terminal.remark("no record was kept")
    if report.num_candidates <= 10 * report.k:
        terminal.remark(
            f"k = {report.k} of only {report.num_candidates:,} texts says little; a larger --corpus or a smaller k "
            "says more"
        )
    for kind, count in report.num_truncated.items():
        terminal.truncated(count, kind)


def _table(report: "FilterReport") -> "Table":
    """What each k drops, and what the self-test says of it."""
    headings = ["k", "dropped", "share"]
    rows = [[str(line.k), f"{line.dropped.count:,}", f"{line.dropped.share:.1%}"] for line in report.at]
    if report.self_test is not None:
        headings += ["wrong pairs caught", "other pairs lost"]
        rows = [[*row, str(at.caught), str(at.lost)] for row, at in zip(rows, report.self_test.at, strict=True)]
    return table(headings, rows, left=0)
