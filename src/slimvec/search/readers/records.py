"""Tables: JSON lines, CSV and Parquet. Each row is a document of its own."""

import csv
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from slimvec.data.bad_rows import BadRowError, BadRows
from slimvec.data.tables import has_suffix, iter_lines, iter_rows
from slimvec.search.documents import Document, TextBuilder, whole

TABLE_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".tsv")
_TEXT_FIELDS = ("text", "content", "body", "passage", "document", "abstract")
_ID_FIELDS = ("id", "_id")
_MAX_FIELD = 1 << 27


def read_table(path: Path, *, field: str | None, bad: BadRows) -> Iterator[Document]:
    """Read the rows of a table.

    Args:
        path: A file with one of `TABLE_SUFFIXES`.
        field: The field with the text. Default: `text`, `content`, `body`, `passage`, `document` or `abstract`,
            whichever comes first in this list; in a table without any of them all fields with a value, as
            `name: value` lines.
        bad: Counts rows that cannot be read.

    Raises:
        InputError: by the policy of `bad`.
    """
    rows = _csv_rows(path, bad) if has_suffix(path, (".csv", ".tsv")) else _rows(path, bad)
    for number, values in rows:
        builder = TextBuilder()
        title = whole(str(values.get("title") or "").strip()) if field != "title" else ""
        text = _text(values, field)
        if text is None:
            bad.add(BadRowError("fields", f"{path} row {number}: no text", expected=f"a text in {field or 'a field'}"))
            continue
        builder.add(text, line=number)
        name = next((str(values[key]) for key in _ID_FIELDS if values.get(key) is not None), str(number))
        yield Document(builder.text, builder.blocks, title=title, record=whole(name))


def _text(values: Mapping[str, object], field: str | None) -> str | None:
    """Choose the text of a row; None where there is none."""
    names = (field,) if field is not None else _TEXT_FIELDS
    for name in names:
        value = values.get(name)
        if isinstance(value, str) and value.strip():
            return value
    if field is not None or any(name in values for name in names):
        return None
    lines = [f"{name}: {value}" for name, value in values.items() if value not in (None, "") and name != "title"]
    return "\n".join(lines) or None


def _rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, row in enumerate(iter_rows(path, fields=lambda _: True, bad=bad), start=1):
        yield number, row.values


def _csv_rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Read CSV with a header; what separates the fields is a tab in .tsv files, and a comma or semicolon elsewhere."""
    lines = (f"{line}\n" for _, line in iter_lines(path, bad=bad))
    header = next(lines, "")
    separator = "\t" if has_suffix(path, (".tsv",)) else max(",;", key=header.count)
    csv.field_size_limit(_MAX_FIELD)  # 131,072 characters else, and the setting is the whole process's
    rows = csv.reader(chain([header], lines), delimiter=separator)
    try:
        names = next(rows, [])
        for number, values in enumerate(rows, start=1):
            if values:
                yield number, dict(zip(names, values, strict=False))
    except csv.Error as error:
        bad.add(BadRowError("file", f"{path} cannot be read on: {error}", expected="a CSV file"))
