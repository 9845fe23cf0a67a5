"""`slimvec clean`: training records without the unfit, the repeated and those that evaluation data has too."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.progress import Task
from slimvec.cli.records import RecordFiles, RecordsOutput
from slimvec.cli.tables import table
from slimvec.cli.terminal import Result, Terminal

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.data.cleaning.pipeline import CleanFileReport
    from slimvec.data.contamination.search import Overlap
    from slimvec.data.records import Record

KEYS = {
    "output": "path of the records that were kept",
    "report": "path of the report, with counts by source, examples and the rules",
    "num_records": "records read",
    "num_written": "records written",
    "num_merged": "records that went into another one of the same query",
    "dropped": "by rule: records left out",
    "num_contaminated": "records that repeat evaluation data; null without --against",
    "num_skipped": "bad rows left out",
}


def clean(
    terminal: Terminal,
    *,
    records: RecordFiles,
    into: RecordsOutput,
    settings: list[str] | None = None,
    against: list[Path] | None = None,
    run_words: int = 13,
    run_characters: int = 40,
    min_share: float = 0.0,
    keep_contaminated: bool = False,
) -> Result:
    """Clean training records, and leave out what evaluation data has too.

    The rules are those of the recipe's data.cleaning: lengths, letters, markup, stock phrases, repeated lines, copies
    of the query, exact and near duplicates, and languages. Everything left out is counted by source and rule, with
    examples, in the report.

    Options:
        settings --set RULE=VALUE: A rule that differs from its default, as in near_duplicates=0.8 or
            language.check=drop.
        against PATH: Evaluation data that training must not repeat: a folder with retrieval sets, or a file of texts.
        run_words (from 2): Words of a shared run that --against counts.
        run_characters (from 2): The same for scripts without spaces, in characters.
        min_share X (0 to 1): Count a shared run only where this share of the text, or of an evaluation text, is shared.
        keep_contaminated: Only report records that repeat evaluation data.
    """
    from slimvec.data.cleaning.pipeline import clean_to_file, parse_cleaning
    from slimvec.data.contamination import Decontamination, read_evaluation_texts

    rules = parse_cleaning(settings or ())
    into.reserve(terminal)
    records.check()
    with terminal.task("reading evaluation data" if against else "cleaning", unit="records") as progress:
        texts = chain.from_iterable(map(read_evaluation_texts, against)) if against else None
        done = clean_to_file(
            _followed(records(), progress),
            into.output,
            rules,
            evaluation_texts=texts,
            decontamination=Decontamination(words=run_words, characters=run_characters, min_share=min_share),
            drop_contaminated=not keep_contaminated,
            force=into.force,
        )
    done = into.write_report(terminal, done, records)
    _tell(terminal, done, into)
    return into.summary(
        done,
        ("num_written",),
        num_records=done.cleaning.num_read,
        num_merged=sum(source.num_merged for source in done.cleaning.sources),
        dropped=done.cleaning.dropped,
        num_contaminated=None if done.contamination is None else done.contamination.num_contaminated,
        num_skipped=records.passes[0].num_skipped,
    )


def _followed(records: "Iterator[Record]", progress: Task) -> "Iterator[Record]":
    """Pass records on, and show now and then how many there were."""
    for number, record in enumerate(records):
        if number % 1000 == 0:
            progress.update(description="cleaning", completed=number)
        yield record


def _tell(terminal: Terminal, done: "CleanFileReport", into: RecordsOutput) -> None:
    """Show what was left out, and where everything is."""
    terminal.print(_rules_table(done))
    if done.contamination is not None and done.contamination.overlaps:
        terminal.print(_overlaps_table(done.contamination.overlaps))
    if done.cleaning.unknown_languages:
        names = ", ".join(f"{name} {count:,}" for name, count in done.cleaning.unknown_languages.items())
        terminal.remark(f"languages that the model does not know were not judged: {names}")
    terminal.print(
        f"{into.output}: {done.num_written:,} of {done.cleaning.num_read:,} records; {into.report_path}: the report"
    )


def _rules_table(done: "CleanFileReport") -> "Table":
    """Lay out the records left out, by source and rule."""
    rules, rows = list(done.cleaning.dropped), []
    for source in done.cleaning.sources:
        counts = (source.num_read, source.num_kept, *(source.dropped.get(rule, 0) for rule in rules))
        rows.append((source.source, *(f"{count:,}" for count in counts)))
    return table(("source", "read", "kept", *rules), rows, ruled=False)


def _overlaps_table(overlaps: "Sequence[Overlap]") -> "Table":
    """Lay out what is shared with evaluation data, by source, set and part."""
    headings = ("source", "evaluation set", "part", "equal queries", "equal documents", "shared runs", "half or more")
    rows = []
    for one in overlaps:
        counts = (one.num_exact_queries, one.num_exact_documents, one.num_runs, one.num_long_runs, one.num_negatives)
        rows.append((one.source, one.dataset, one.part, *(f"{count:,}" for count in counts)))
    return table((*headings, "as negatives"), rows, left=3, ruled=False)
