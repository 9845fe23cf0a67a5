"""Pairs with a grade of similarity (STS) as records, for losses that rank pairs, such as CoSENT."""

from collections.abc import Iterator
from pathlib import Path

from slimvec.data.bad_rows import BadRows
from slimvec.data.columns import Columns
from slimvec.data.records import Record, check_text
from slimvec.data.tables import Row, iter_rows, located
from slimvec.errors import InputError
from slimvec.numbers import finite_number

_FIELDS = ("s1", "s2", "sentence1", "sentence2", "score", "lang", "language")


def read_graded_pairs(
    path: str | Path,
    *,
    low: float = 0.0,
    high: float = 5.0,
    task: str | None = None,
    bad: BadRows | None = None,
) -> Iterator[Record]:
    """Read an STS file, one record a pair: `query` is the first text, the only positive the second.

    `scores` holds the grade, brought to 0..1. A pair of grade 0 is a record too, whose "positive" is unlike the query:
    such records are for graded losses only, never for InfoNCE.

    Args:
        path: `.jsonl`, `.jsonl.gz` or `.parquet` with `s1` and `s2` (or `sentence1` and `sentence2`) and `score`.
        low: The grade that means unlike. STS goes from 0 to 5.
        high: The grade that means the same.
        task: Task of the records.
        bad: Learns which columns are not read.

    Raises:
        InputError: the file cannot be read, a row is malformed or its score is outside the scale (with its place),
            there are no rows, or `low` is not below `high`.
    """
    if not low < high:
        raise InputError(f"a scale from {low} to {high}", expected="low below high")
    path = Path(path)
    name = path.absolute().parent.name
    empty = True
    bad, columns = bad or BadRows(), Columns(_FIELDS, aliases=False)
    for row in columns.watch(iter_rows(path, fields=columns)):
        bad.unread[str(path)] = tuple(columns.unread)
        try:
            record = _record(row, low, high, name, task)
        except InputError as error:
            raise located(error, row.place) from error
        yield record
        empty = False
    if empty:
        raise InputError(f"{path} has no rows", expected="at least one pair")


def _record(row: Row, low: float, high: float, source: str, task: str | None) -> Record:
    first, second = ("s1", "s2") if "s1" in row.values else ("sentence1", "sentence2")
    language = row.values.get("language") or row.values.get("lang")
    return Record(
        query=check_text(row.values.get(first), first),
        positives=(check_text(row.values.get(second), second),),
        scores=((_grade(row.values.get("score"), low, high) - low) / (high - low),),
        task=task,
        language=None if language is None else check_text(language, "language"),
        source=source,
    )


def _grade(value: object, low: float, high: float) -> float:
    number = finite_number(value)
    if number is None:
        raise InputError(f"score {value!r}", expected="a number")
    if not low <= number <= high:
        raise InputError(
            f"score {value}", expected=f"between {low:g} and {high:g}", do="name the ends of the scale if they differ"
        )
    return number
