"""Texts for a command, with their place in the file, their id and their title, one at a time.

`read_texts` of the data layer gives texts alone; a command also writes ids, shows titles and names lines in errors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.readers import TEXT_SUFFIXES
from slimvec.data.records import check_text
from slimvec.data.tables import check_file, has_suffix, iter_lines, iter_rows, located
from slimvec.errors import InputError

_ID_FIELDS = ("id", "_id")


@dataclass(frozen=True, slots=True)
class Item:
    """A text of an input file.

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

    @property
    def headline(self) -> str:
        """The title, else the first line of the text."""
        return self.title or self.text.strip().splitlines()[0]


def read_items(path: Path, *, field: str = "text", blank: bool = False) -> Iterator[Item]:
    """Read the texts of a file.

    Args:
        path: A `.txt` file (a text a line), or a `.jsonl`, `.jsonl.gz` or `.parquet` file.
        field: The field that holds the text; of no meaning for `.txt`.
        blank: Give empty texts too, for a caller that passes over them.

    Raises:
        InputError: the file cannot be read, a text is missing or empty (with its place), or there are none.
    """
    check_input(path)
    number = 0
    for number, item in enumerate(_items(path, field, blank), start=1):  # noqa: B007  # the count is used below
        yield item
    if number == 0:
        raise InputError(f"{path} has no texts", expected="at least one")


def check_input(path: Path) -> None:
    """See that a file is there and of a kind that can be read.

    Raises:
        InputError: it is not.
    """
    check_file(path)
    if not has_suffix(path, TEXT_SUFFIXES):
        raise InputError(f"{path} is of an unknown kind", expected=f"a name ending in {', '.join(TEXT_SUFFIXES)}")


def _items(path: Path, field: str, blank: bool) -> Iterator[Item]:
    if has_suffix(path, (".txt",)):
        for number, (place, line) in enumerate(iter_lines(path), start=1):
            yield Item(place, str(number), _text(line, "the line", place, blank))
        return
    for number, row in enumerate(iter_rows(path, fields=(field, "title", *_ID_FIELDS)), start=1):
        values = row.values
        if field not in values:
            raise InputError(
                f"{row.place}: no field {field!r}",
                expected="the text there",
                do="name the field with --field",
            )
        title = _text(values["title"], "title", row.place) if field != "title" and values.get("title") else ""
        yield Item(row.place, _id(values) or str(number), _text(values[field], field, row.place, blank), title)


def _text(value: object, name: str, place: str, blank: bool = False) -> str:
    if blank and isinstance(value, str) and not value.strip():
        return value
    try:
        return check_text(value, name)
    except InputError as error:
        raise located(error, place) from error


def _id(values: Mapping[str, object]) -> str:
    """A row's own id, as text; empty if it has none."""
    for name in _ID_FIELDS:
        if values.get(name) is not None:
            return str(values[name])
    return ""
