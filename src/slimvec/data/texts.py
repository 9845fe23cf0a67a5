"""Plain texts of a file, one at a time: alone, or with their place in it, their id and their title."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimvec.data.records import check_text
from slimvec.data.tables import ROW_SUFFIXES, Row, check_file, has_suffix, iter_lines, iter_rows, located
from slimvec.errors import InputError

TEXT_SUFFIXES = (".txt", *ROW_SUFFIXES)
_ID_FIELDS = ("id", "_id")


@dataclass(frozen=True, slots=True)
class Item:
    """A text of a file.

    Attributes:
        place: Where it stands: `file:line` or `file row n`.
        id: The row's `id` or `_id`; else its number, from 1.
        text: Never empty, unless asked for.
        title: The row's `title`, or empty.
    """

    place: str
    id: str
    text: str
    title: str = ""

    @property
    def content(self) -> str:
        """Title and text with a space between, as retrieval sets join them."""
        return f"{self.title} {self.text}".strip()


def read_texts(path: str | Path, *, field: str = "text") -> Iterator[str]:
    """Read plain texts. Arguments and errors as for `read_items`."""
    return (text for text, _ in read_titled_texts(path, field=field))


def read_titled_texts(path: str | Path, *, field: str = "text") -> Iterator[tuple[str, str]]:
    """Read plain texts with their titles, empty where a row has none. Arguments and errors as for `read_items`."""
    path = Path(path)
    for row in _rows(path, field, more=("title",)):
        title = row.values.get("title")
        yield _text(row, field, _called(path, field)), title.strip() if isinstance(title, str) else ""


def read_items(path: Path, *, field: str = "text", blank: bool = False, joined: bool = False) -> Iterator[Item]:
    """Read plain texts with what stands beside them.

    Args:
        path: A `.txt` file (a text a line), or a `.jsonl`, `.jsonl.gz` or `.parquet` file.
        field: The field that holds the text; of no meaning for `.txt`.
        blank: Give empty texts too, for a caller that passes over them.
        joined: Put the title before the text, which may then be empty.

    Raises:
        InputError: the file cannot be read, a text is missing or empty (with its place), or there are none.
    """
    for number, row in enumerate(_rows(path, field, more=("title", *_ID_FIELDS)), start=1):
        title = _text(row, "title", "title") if field != "title" and row.values.get("title") else ""
        text = _text(row, field, _called(path, field), blank=blank or (joined and bool(title)))
        item = Item(row.place, _id(row.values) or str(number), text, title)
        yield replace(item, text=item.content) if joined else item


def check_text_file(path: Path) -> None:
    """See that a file is there and of a kind that can be read.

    Raises:
        InputError: it is not.
    """
    check_file(path)
    if not has_suffix(path, TEXT_SUFFIXES):
        raise InputError(f"{path} is of an unknown kind", expected=f"a name ending in {', '.join(TEXT_SUFFIXES)}")


def _rows(path: Path, field: str, *, more: tuple[str, ...]) -> Iterator[Row]:
    """Give the rows of a file; each has the field, and a line is one by itself."""
    check_text_file(path)
    if has_suffix(path, (".txt",)):
        rows: Iterator[Row] = (Row(place, {field: line}) for place, line in iter_lines(path))
    else:
        rows = iter_rows(path, fields=(field, *more))
    empty = True
    for row in rows:
        if field not in row.values:
            raise InputError(
                f"{row.place}: no field {field!r}",
                expected="the text there",
                do=f"name its field, one of {', '.join(map(str, row.values)) or 'none'}",
            )
        yield row
        empty = False
    if empty:
        raise InputError(f"{path} has no texts", expected="at least one")


def _called(path: Path, field: str) -> str:
    """What an error calls a text."""
    return "the line" if has_suffix(path, (".txt",)) else field


def _text(row: Row, field: str, name: str, *, blank: bool = False) -> str:
    value = row.values[field]
    if blank and isinstance(value, str) and not value.strip():
        return value
    try:
        return check_text(value, name)
    except InputError as error:
        raise located(error, row.place) from error


def _id(values: Mapping[str, object]) -> str:
    """A row's own id, as text; empty if it has none."""
    return next((str(values[name]) for name in _ID_FIELDS if values.get(name) is not None), "")
