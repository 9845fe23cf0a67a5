"""Training records and plain texts from files, streamed."""

from collections.abc import Iterator
from pathlib import Path

from slimvec.data.records import RECORD_FIELDS, Record, check_text, parse_record
from slimvec.data.tables import ROW_SUFFIXES, check_file, has_suffix, iter_lines, iter_rows, located
from slimvec.errors import InputError

TEXT_SUFFIXES = (".txt", *ROW_SUFFIXES)


def read_records(path: str | Path, *, source: str | None = None) -> Iterator[Record]:
    """Read training records, one at a time.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file with the fields `parse_record` knows.
        source: Source of the records that name none; default the file's name, or its folder's for a file called
            `train`.

    Raises:
        InputError: the file cannot be read, a row is malformed (with its place), or there are no rows.
    """
    path = Path(path)
    if source is None:
        stem = path.name.split(".")[0]
        source = path.absolute().parent.name if stem == "train" else stem
    empty = True
    for row in iter_rows(path, fields=RECORD_FIELDS):
        try:
            record = parse_record(row.values, source=source)
        except InputError as error:
            raise located(error, row.place) from error
        yield record
        empty = False
    if empty:
        raise InputError(f"{path} has no rows", expected="at least one record")


def read_texts(path: str | Path, *, field: str = "text") -> Iterator[str]:
    """Read plain texts, one at a time.

    Args:
        path: A `.txt` file (one text a line), or a `.jsonl`, `.jsonl.gz` or `.parquet` file.
        field: The field that holds the text; of no meaning for `.txt`.

    Raises:
        InputError: the file cannot be read, a text is missing or empty (with its place), or there are none.
    """
    path = Path(path)
    empty = True
    for place, value in _located_texts(path, field):
        try:
            text = check_text(value, "the line" if has_suffix(path, (".txt",)) else field)
        except InputError as error:
            raise located(error, place) from error
        yield text
        empty = False
    if empty:
        raise InputError(f"{path} has no texts", expected="at least one")


def _located_texts(path: Path, field: str) -> Iterator[tuple[str, object]]:
    """What stands where a text should be, with its place."""
    check_file(path)
    if not has_suffix(path, TEXT_SUFFIXES):
        raise InputError(f"{path} is of an unknown kind", expected=f"a name ending in {', '.join(TEXT_SUFFIXES)}")
    if has_suffix(path, (".txt",)):
        yield from iter_lines(path)
        return
    for row in iter_rows(path, fields=[field]):
        if field not in row.values:
            raise InputError(
                f"{row.place}: no field {field}",
                expected=f"the text in {field}",
                do=f"name one of {', '.join(map(str, row.values)) or 'none'}",
            )
        yield row.place, row.values[field]
