"""The texts of an adaptation: the positives of records, or plain texts."""

import random
from collections.abc import Sequence

from slimvec.data.readers import read_texts
from slimvec.data.records import Record
from slimvec.data.tables import has_suffix
from slimvec.files import sha256_of
from slimvec.training.recipe import Recipe, Source
from slimvec.training.sources import SourceRecord, read_sources


def read_adaptation_records(recipe: Recipe) -> tuple[list[Record], list[SourceRecord]]:
    """Read the sources of an adaptation as records; a plain text is its own query and positive.

    Raises:
        InputError: a file that is missing or malformed.
    """
    assert recipe.adaptation is not None
    return read_text_records(recipe.data, field=recipe.adaptation.field, seed=recipe.run.seed)


def read_text_records(
    sources: Sequence[Source], *, field: str | None, seed: int
) -> tuple[list[Record], list[SourceRecord]]:
    """Read sources of records or of plain texts as records; a plain text is its own query and positive.

    Args:
        sources: Files; `.txt` ones hold a text a line.
        field: Of plain texts in the other files; None for files of records.
        seed: Of the choice where a source is limited.

    Raises:
        InputError: a file that is missing or malformed.
    """
    records: list[Record] = []
    held: list[SourceRecord] = []
    for source in sources:
        if has_suffix(source.path, (".txt",)) or field is not None:
            found, record = _plain(source, field or "text", seed)
            records += found
            held.append(record)
        else:
            found, described = read_sources([source], seed=seed)
            records += found
            held += described
    return records, held


def adaptation_texts(records: Sequence[Record]) -> list[str]:
    """Give the positives, each text once."""
    return list(dict.fromkeys(text for record in records for text in record.positives))


def all_texts(records: Sequence[Record]) -> list[str]:
    """Give queries and positives, each text once."""
    return list(dict.fromkeys(text for record in records for text in (record.query, *record.positives)))


def _plain(source: Source, field: str, seed: int) -> tuple[list[Record], SourceRecord]:
    """Read a file of plain texts."""
    texts = list(read_texts(source.path, field=field))
    used = texts
    if source.limit is not None and source.limit < len(texts):
        chosen = random.Random(f"{seed}/{source.path.name}").sample(range(len(texts)), source.limit)
        used = [texts[number] for number in sorted(chosen)]
    record = SourceRecord(
        path=str(source.path),
        sha256=sha256_of(source.path),
        license=source.license,
        weight=source.weight,
        num_records=len(texts),
        num_used=len(used),
    )
    return [Record(text, (text,), source=source.path.stem) for text in used], record
