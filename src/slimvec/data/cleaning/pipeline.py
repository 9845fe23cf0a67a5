"""From records to a clean file: the rules, then the comparison with evaluation data, and one report of both."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slimvec.data.bad_rows import BadRowsReport
from slimvec.data.cleaning.cleaner import clean
from slimvec.data.cleaning.cleaning_report import CleaningReport
from slimvec.data.cleaning.settings import Cleaning
from slimvec.data.contamination import ContaminationReport, Decontamination, EvaluationText, decontaminate
from slimvec.data.records import Record
from slimvec.data.writers import record_writer
from slimvec.errors import InputError
from slimvec.frozen import Stored, checked
from slimvec.yaml_files import read_yaml


class CleanFileReport(Stored):
    """What stands between some records and a clean file of them.

    Attributes:
        settings: The rules of cleaning.
        cleaning: What they left out.
        contamination: What the rest shares with evaluation data; None when it was not held against any.
        dropped_contaminated: Whether contaminated records were left out.
        num_written: Records in the file.
        bad_rows: Rows that could not be read, when the reader was to leave them out.
    """

    settings: Cleaning
    cleaning: CleaningReport
    contamination: ContaminationReport | None
    dropped_contaminated: bool
    num_written: int
    bad_rows: BadRowsReport | None = None


def clean_to_file(
    records: Iterable[Record],
    output: Path,
    settings: Cleaning,
    *,
    evaluation_texts: Iterable[EvaluationText] | None = None,
    decontamination: Decontamination | None = None,
    drop_contaminated: bool = True,
    force: bool = False,
) -> CleanFileReport:
    """Clean records and write the good ones.

    Args:
        records: A stream.
        output: Ends in `.jsonl` or `.jsonl.gz`.
        settings: The rules.
        evaluation_texts: Texts that training data must not repeat; None for no comparison.
        decontamination: What counts as repeating them.
        drop_contaminated: Leave such records out, or only count them.
        force: Replace the output.

    Raises:
        InputError: the output is there, a record cannot be read, or no record is left (nothing is written then).
        StorageError: the output cannot be written.
    """
    kept, tally = clean(records, settings)
    contamination = None
    if evaluation_texts is not None:
        kept, contamination = decontaminate(kept, evaluation_texts, decontamination, drop=drop_contaminated)
    num_written = 0
    with record_writer(output, force=force) as write:
        for record in kept:
            write(record)
            num_written += 1
        if num_written == 0:
            raise InputError(
                f"none of the {tally.report().num_read:,} records is left",
                expected="at least one",
                do="loosen the rules",
            )
    return CleanFileReport(
        settings=settings,
        cleaning=tally.report(),
        contamination=None if contamination is None else contamination.report(),
        dropped_contaminated=contamination is not None and drop_contaminated,
        num_written=num_written,
    )


def parse_cleaning(changes: Iterable[str]) -> Cleaning:
    """Read rules of cleaning as a command line gives them.

    Args:
        changes: `key=value` each, values as YAML writes them: `near_duplicates=null`, `language.check=drop`.

    Raises:
        InputError: one is not of that form, names no rule or has a wrong value.
    """
    tree: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        *sections, last = key.strip().split(".")
        branch = tree
        for section in sections:
            if isinstance(branch, dict):
                branch = branch.setdefault(section, {})
        if not equals or not last or not isinstance(branch, dict):
            raise InputError(f"setting {change!r}", expected="key=value, as in near_duplicates=0.8")
        branch[last] = read_yaml(value, f"the value of setting {change!r}")
    with checked("setting ", do=f"the rules are {', '.join(Cleaning.model_fields)}"):
        return Cleaning.model_validate(tree)
