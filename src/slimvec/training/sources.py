"""Reading the data a recipe names, and writing down which data it was."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.training.recipe import Source


class SourceRecord(BaseModel):
    """What a source held when it was read.

    Attributes:
        path: As the recipe names it.
        sha256: Of the file.
        num_records: In the file.
        num_used: Taken from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    num_records: int
    num_used: int


def read_sources(sources: Sequence[Source], *, seed: int) -> tuple[list[Record], list[SourceRecord]]:
    """Read all sources of a recipe.

    Args:
        sources: Files.
        seed: Of the choice where a source is limited.

    Returns:
        The records, in the sources' order, and what each source held.

    Raises:
        InputError: a file that is missing or malformed; the message names the line.
    """
    records: list[Record] = []
    held: list[SourceRecord] = []
    for source in sources:
        found = list(read_records(source.path))
        used = _choose(found, source, seed)
        records += [_with_task(record, source.task) for record in used]
        held.append(
            SourceRecord(
                path=str(source.path), sha256=file_sha256(source.path), num_records=len(found), num_used=len(used)
            )
        )
    return records, held


def file_sha256(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _choose(records: list[Record], source: Source, seed: int) -> list[Record]:
    """Take `limit` records, in the order of the file."""
    if source.limit is None or source.limit >= len(records):
        return records
    numbers = random.Random(f"{seed}/{source.path.name}").sample(range(len(records)), source.limit)
    return [records[number] for number in sorted(numbers)]


def _with_task(record: Record, task: str | None) -> Record:
    """Give a record without a task the source's."""
    return record if task is None or record.task is not None else replace(record, task=task)
