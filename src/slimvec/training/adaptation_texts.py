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
    records: list[Record] = []
    held: list[SourceRecord] = []
    for source in recipe.data:
        if has_suffix(source.path, (".txt",)) or recipe.adaptation.field is not None:
            found, record = _plain(source, recipe.adaptation.field or "text", recipe.run.seed)
            records += found
            held.append(record)
        else:
            found, described = read_sources([source], seed=recipe.run.seed)
            records += found
            held += described
    return records, held


def adaptation_texts(records: Sequence[Record]) -> list[str]:
    """Give the positives, each text once."""
    return list(dict.fromkeys(text for record in records for text in record.positives))


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
