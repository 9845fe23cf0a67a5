"""`slimvec mine`: hard negatives for training records."""

from typing import TYPE_CHECKING, Literal

from slimvec.cli.options import Loading
from slimvec.cli.records import RecordFiles, RecordSearch, RecordsOutput
from slimvec.cli.terminal import Result, Terminal

if TYPE_CHECKING:
    from slimvec.data.mining.mining_report import MiningReport

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
    records: RecordFiles,
    into: RecordsOutput,
    search: RecordSearch,
    num_negatives: int = 7,
    first_rank: int | None = None,
    last_rank: int | None = None,
    relative_margin: float = 0.95,
    margin: float | None = None,
    choice: Choice = "sample",
    near_duplicates: float | None = None,
    seed: int = 0,
    loading: Loading,
) -> Result:
    """Find hard negatives for training records with a model or BM25.

    Texts found for a query are taken if they are within the ranks and stay below the margins. Never taken are the
    positives of any record with the same query, texts equal to one of these or to the query. Records keep their
    positives, task, language and source; their negatives are replaced, and the scores of both are written. Fields that
    are not of this schema are not carried over. A killed run goes on where it was when the same command is run again.

    Options:
        num_negatives --negatives -n N (from 1): Negatives wanted of each record.
        first_rank N (from 1): Best rank used. Default: half of --last-rank.
        last_rank N (from 1): Worst rank used. Default: 100, less for a corpus of under 1,000 texts.
        relative_margin X (0 to 1): Negatives score below this share of the lowest positive's score; 0 for no such rule.
        margin X (from 0): Negatives score at least this much less than the lowest positive.
        choice: Take any within the ranks by chance, or the best.
        near_duplicates X (0.01 to 1): Leave out negatives that share this much (Jaccard) of their runs of three words
            with the query, a positive or another negative.
        seed (from 0): Random seed for the choice.
    """
    from slimvec.data.mining.run import mine_negatives
    from slimvec.data.mining.settings import MiningSettings
    from slimvec.frozen import checked

    into.reserve(terminal)
    records.check()
    with checked():
        settings = MiningSettings(
            num_negatives=num_negatives,
            first_rank=first_rank,
            last_rank=last_rank,
            margin=margin,
            relative_margin=relative_margin or None,
            choice=choice,
            near_duplicates=near_duplicates,
            seed=seed,
        )
    done = mine_negatives(search.open(terminal, records, into.output, loading), into.output, settings, force=into.force)
    done = into.write_report(terminal, done, records)
    _tell(terminal, done, into)
    return into.summary(done, KEYS, num_skipped=records.passes[0].num_skipped)


def _tell(terminal: Terminal, report: "MiningReport", into: RecordsOutput) -> None:
    """Say what was done."""
    wanted = report.settings.num_negatives
    terminal.print(
        f"{report.num_records:,} records, {report.num_candidates:,} texts searched, ranks {report.first_rank} to "
        f"{report.last_rank}: {report.num_negatives:,} negatives",
        *[f"  {count:,} taken out by {rule.replace('_', ' ')}" for rule, count in report.dropped.items()],
        f"{into.output}: {report.num_records:,} records with negatives; {into.report_path}: the report",
    )
    if report.num_short:
        terminal.remark(f"{report.num_short:,} records got fewer than {wanted} negatives")
    for kind, count in report.num_truncated.items():
        terminal.truncated(count, kind)
