"""Rows of `.jsonl`, `.jsonl.gz` and `.parquet` files, one at a time, each with its place in the file.

Memory stays the same however long the file is. The place goes into every error, so that a reader can go there.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

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
    return InputError(f"{place}: {error.found}", expected=error.expected, do=error.do)


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file's name ends in one of some suffixes, capitals aside."""
    return path.name.lower().endswith(tuple(suffixes))


def iter_rows(path: Path, *, fields: Sequence[str] | None = None) -> Iterator[Row]:
    """Read the rows of a table.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file.
        fields: The only fields needed: of a Parquet file no other column is read, unless it has none of them.
            JSON lines give all they have.

    Raises:
        InputError: a missing or unreadable file, another kind of file, a line that is no JSON object or no UTF-8.
    """
    check_file(path)
    if has_suffix(path, (".parquet",)):
        yield from _parquet_rows(path, fields)
    elif has_suffix(path, ROW_SUFFIXES):
        yield from _json_rows(path)
    else:
        raise InputError(f"{path} is of an unknown kind", expected=f"a name ending in {', '.join(ROW_SUFFIXES)}")


def check_file(path: Path) -> None:
    """See that a file is there.

    Raises:
        InputError: it is not, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", expected="a file")
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a file", do="check the path")


def iter_lines(path: Path) -> Iterator[tuple[str, str]]:
    r"""Read the lines of a text file, gzipped if its name ends in `.gz`: `(file:line, text)`.

    Only `\n` and `\r\n` end a line, because JSON may hold the other line breaks of Unicode as they are. A byte order
    mark at the start is left out.

    Raises:
        InputError: the file cannot be read, its gzip is broken or cut off, or a line is no UTF-8.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                place = f"{path}:{number}"
                yield place, _decode(line.rstrip(b"\r\n"), place)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read after line {number}: {error}",
            expected="a whole gzip file" if has_suffix(path, (".gz",)) else "a readable file",
        ) from error


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if has_suffix(path, (".gz",)) else path.open("rb")


def _decode(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}: byte {error.start + 1} is 0x{line[error.start]:02x}, which is no UTF-8",
            expected="a UTF-8 file",
            do="convert it, for example with iconv",
        ) from error


def _json_rows(path: Path) -> Iterator[Row]:
    for place, line in iter_lines(path):
        if not line.strip():
            raise InputError(f"{place}: an empty line", expected="a JSON object in every line", do="remove it")
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{place}: no JSON ({error})", expected="a JSON object in every line") from error
        if not isinstance(values, dict):
            raise InputError(f"{place}: a JSON {type(values).__name__}", expected="a JSON object in every line")
        yield Row(place, values)


def _parquet_rows(path: Path, fields: Sequence[str] | None) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            chosen = [name for name in file.schema_arrow.names if name in (fields or ())]
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=chosen or None):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{path} row {number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read after row {number}: {error}", expected="a whole Parquet file"
        ) from error
