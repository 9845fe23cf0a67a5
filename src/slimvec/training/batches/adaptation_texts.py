"""The texts of objectives without labels: plain texts, or the positives of records."""

import random
from collections.abc import Sequence

from slimvec.data.records import Record
from slimvec.data.tables import has_suffix, iter_rows
from slimvec.data.texts import read_titled_texts
from slimvec.files import sha256_of
from slimvec.training.batches.sources import SourceRecord, read_sources
from slimvec.training.recipe import Recipe, Source

_TEXT = "text"
"""Field of plain texts, unless the recipe names another one."""
_QUERIES = {"query", "anchor", "question", "sentence1", "messages"}
"""Fields of pairs (`slimvec.data.columns`)."""


def read_adaptation_records(recipe: Recipe) -> tuple[list[Record], list[SourceRecord]]:
    """Read the sources of a recipe that learns from texts as records; a plain text is its own query and positive.

    Raises:
        InputError: a file that is missing or malformed.
    """
    field = None if recipe.texts is None else recipe.texts.field
    return read_text_records(recipe.data, field=field, seed=recipe.run.seed)


def read_text_records(
    sources: Sequence[Source], *, field: str | None, seed: int, titles: bool = False
) -> tuple[list[Record], list[SourceRecord]]:
    """Read sources of records or of plain texts as records; a plain text is its own query and positive.

    Args:
        sources: Files; `.txt` ones hold a text a line.
        field: Field with plain texts in other files; default `text` where the first row has one and is no pair.
        seed: Random seed for the choice where a source is limited.
        titles: As for `read_sources`.

    Raises:
        InputError: a file that is missing or malformed.
    """
    records: list[Record] = []
    held: list[SourceRecord] = []
    for source in sources:
        if has_suffix(source.path, (".txt",)) or field is not None or _holds_texts(source):
            found, record = _plain(source, field or _TEXT, seed, titles)
            records += found
            held.append(record)
        else:
            found, described = read_sources([source], seed=seed, titles=titles)
            records += found
            held += described
    return records, held


def _holds_texts(source: Source) -> bool:
    """Whether the first row of a file is a text and no pair."""
    if source.is_hub or source.kind != "pairs":
        return False
    row = next(iter(iter_rows(source.path)), None)
    return row is not None and _TEXT in row.values and not _QUERIES & row.values.keys()


def adaptation_texts(records: Sequence[Record]) -> list[str]:
    """Give the positives, each text once."""
    return list(dict.fromkeys(text for record in records for text in record.positives))


def all_texts(records: Sequence[Record]) -> list[str]:
    """Give queries and positives, each text once."""
    return list(dict.fromkeys(text for record in records for text in (record.query, *record.positives)))


def _plain(source: Source, field: str, seed: int, titles: bool) -> tuple[list[Record], SourceRecord]:
    """Read a file of plain texts, with their titles if anything is made of them."""
    texts = list(read_titled_texts(source.path, field=field))
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
    return [
        Record(text, (text,), source=source.path.stem, titles=(title,) if titles and title else ())
        for text, title in used
    ], record
