"""Rows into JSON lines, and training records into files that `read_records` reads back."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from slimvec.data.records import Record, record_row
from slimvec.data.tables import has_suffix
from slimvec.errors import InputError
from slimvec.files import atomic_file, check_free

RECORD_SUFFIXES = (".jsonl", ".jsonl.gz")


def check_records_output(path: Path, *, force: bool) -> None:
    """Refuse an output that could not be written, before any work is done for it.

    Raises:
        InputError: its name says another format, or it is there and not `force`.
    """
    if not has_suffix(path, RECORD_SUFFIXES):
        raise InputError(
            f"output {path} is of an unknown kind", expected=f"a name ending in {' or '.join(RECORD_SUFFIXES)}"
        )
    check_free(path, force=force)


@contextmanager
def record_writer(path: Path, *, force: bool = False) -> Iterator[Callable[[Record], None]]:
    """Open a file for records: the body is given a function that adds one. The file appears when the body ends well.

    Equal records give equal bytes, gzipped ones too.

    Args:
        path: Ends in `.jsonl` or `.jsonl.gz`.
        force: Replace what is there.

    Raises:
        InputError: as for `check_records_output`.
        StorageError: it cannot be written.
    """
    check_records_output(path, force=force)
    with atomic_file(path, force=force) as temporary, _opened(temporary) as file:
        yield lambda record: _write(file, record_row(record))


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as JSON lines, gzipped if the name ends in `.gz`; equal rows give equal bytes.

    For files of a folder that appears whole: this one is there from the first row on.
    """
    with _opened(path) as file:
        for row in rows:
            _write(file, row)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        file = cast(BinaryIO, stack.enter_context(path.open("wb")))
        if has_suffix(path, (".gz",)):
            # No name and no time in the header, or equal records would give different bytes.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast(BinaryIO, stack.enter_context(packed))
        yield file


def _write(file: BinaryIO, row: Mapping[str, object]) -> None:
    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
