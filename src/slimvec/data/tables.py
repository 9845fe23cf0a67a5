"""Rows of `.jsonl`, `.jsonl.gz` and `.parquet` files, one at a time, each with its place in the file.

Memory stays the same however long the file is. The place goes into every error, so that a reader can go there.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from slimvec.data.bad_rows import BadRowError, BadRows
from slimvec.errors import InputError

ROW_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        place: Where it stands, as `file:line` or `file row n`, counted from 1.
        values: Values by field.
    """

    place: str
    values: Mapping[str, object]


def located(error: InputError, place: str) -> InputError:
    """The same error, with the place it belongs to in front."""
    if isinstance(error, BadRowError):
        return error.at(place)
    return InputError(f"{place}: {error.found}", expected=error.expected, do=error.do)


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file's name ends in one of some suffixes, capitals aside."""
    return path.name.lower().endswith(tuple(suffixes))


def iter_rows(
    path: Path, *, fields: Sequence[str] | Callable[[str], bool] | None = None, bad: BadRows | None = None
) -> Iterator[Row]:
    """Read the rows of a table.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file.
        fields: The only fields needed, or what says so of a name: of a Parquet file no other column is read, unless it
            has none of them. JSON lines give all they have.
        bad: Whether a bad row, or a file that breaks off, is an error or left out and counted; default an error.

    Raises:
        InputError: a missing or unreadable file, another kind of file, a line that is no JSON object or no UTF-8.
    """
    bad = bad or BadRows()
    check_file(path)
    if has_suffix(path, (".parquet",)):
        yield from _parquet_rows(path, fields, bad)
    elif has_suffix(path, ROW_SUFFIXES):
        yield from _json_rows(path, bad)
    else:
        raise InputError(f"{path} is of an unknown kind", expected=f"a name ending in {', '.join(ROW_SUFFIXES)}")


def check_file(path: Path) -> None:
    """See that a file is there.

    Raises:
        InputError: it is not, or it is something else.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", expected="a file")
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path} is a link that leads to no file", expected="a file", do="check where it leads")
    if not path.is_file() and path.exists():
        raise InputError(
            f"{path} is a device or a pipe", expected="a file, which can be read twice", do="write one first"
        )
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a file", do="check the path")


def iter_lines(path: Path, *, bad: BadRows | None = None) -> Iterator[tuple[str, str]]:
    r"""Read the lines of a text file, gzipped if its name ends in `.gz`: `(file:line, text)`.

    Only `\n` and `\r\n` end a line, because JSON may hold the other line breaks of Unicode as they are. A byte order
    mark at the start is left out.

    Args:
        path: The file.
        bad: As for `iter_rows`.

    Raises:
        InputError: the file cannot be read, its gzip is broken or cut off, or a line is no UTF-8.
    """
    bad = bad or BadRows()
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                place = f"{path}:{number}"
                own = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                try:
                    text = _decode(own.rstrip(b"\r\n"), place)
                except BadRowError as error:
                    bad.add(error)
                    continue
                yield place, text
    except (OSError, EOFError, zlib.error) as error:
        expected = "a whole gzip file" if has_suffix(path, (".gz",)) else "a readable file"
        bad.add(BadRowError("file", f"{path} cannot be read after line {number}: {error}", expected=expected))


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if has_suffix(path, (".gz",)) else path.open("rb")


def _decode(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadRowError(
            "encoding",
            f"{place}: byte {error.start + 1} is 0x{line[error.start]:02x}, which is no UTF-8",
            expected="a UTF-8 file",
            do="convert it, for example with iconv",
        ) from error


def _json_rows(path: Path, bad: BadRows) -> Iterator[Row]:
    for place, line in iter_lines(path, bad=bad):
        try:
            values = _json_object(line, place)
        except BadRowError as error:
            bad.add(error)
            continue
        yield Row(place, values)


def _json_object(line: str, place: str) -> dict[str, object]:
    expected = "a JSON object in every line"
    if not line.strip():
        raise BadRowError("json", f"{place}: an empty line", expected=expected, do="remove it")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError alone: a number of too many digits
        raise BadRowError("json", f"{place}: no JSON ({error})", expected=expected) from error
    if not isinstance(values, dict):
        raise BadRowError("json", f"{place}: a JSON {type(values).__name__}", expected=expected)
    return values


def _parquet_rows(path: Path, fields: Sequence[str] | Callable[[str], bool] | None, bad: BadRows) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            is_needed = fields if callable(fields) else (fields or ()).__contains__
            chosen = [name for name in file.schema_arrow.names if is_needed(name)]
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=chosen or None):
                for values in _batch_values(batch):
                    number += 1
                    if isinstance(values, UnicodeDecodeError):
                        found = f"{path} row {number}: a text is no UTF-8 ({values})"
                        bad.add(BadRowError("encoding", found, expected="strings in UTF-8"))
                        continue
                    yield Row(f"{path} row {number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        found = f"{path} cannot be read after row {number}: {error}"
        bad.add(BadRowError("file", found, expected="a whole Parquet file"))


def _batch_values(batch: Any) -> Iterator[dict[str, object] | UnicodeDecodeError]:
    """Rows of a pyarrow.RecordBatch; a row that holds bytes where text should be gives the error."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass  # converting is all or nothing, so nothing was given yet: find the rows one by one
    for number in range(batch.num_rows):
        try:
            yield batch.slice(number, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield error
