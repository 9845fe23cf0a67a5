"""Rows of outside sets: the fields that a probe needs are there, texts are some and numbers are numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.records import check_text
from slimvec.data.tables import iter_rows, located
from slimvec.errors import InputError


@dataclass(frozen=True, slots=True)
class SetRow:
    """A row of an outside set.

    Attributes:
        place: Where it stands, for errors.
        texts: By field.
        numbers: By field.
    """

    place: str
    texts: Mapping[str, str]
    numbers: Mapping[str, float]


def read_set(folder: Path | None, file: str, texts: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[SetRow]:
    """Read fields of all rows of an outside set.

    Args:
        folder: Folder of the set; None, where the set is not at hand, has no rows.
        file: Its file.
        texts: Fields that are texts.
        numbers: Fields that are numbers.

    Raises:
        InputError: the file is missing, or a row lacks a field or has something else in it.
    """
    if folder is None:
        return
    fields = (*texts, *numbers)
    for row in iter_rows(folder / file, fields=fields):
        missing = next((name for name in fields if name not in row.values), None)
        if missing is not None:
            raise InputError(f"{row.place}: no field {missing!r}", expected=f"the fields {', '.join(fields)}")
        try:
            found = {name: check_text(row.values[name], name) for name in texts}
        except InputError as error:
            raise located(error, row.place) from error
        yield SetRow(row.place, found, {name: _number(row.values[name], f"{row.place}: {name}") for name in numbers})


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{what} {value!r}", expected="a number")
    return value
