"""Reading the data a recipe names, pairs or plain texts, and writing down which data it was."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimvec.data.bad_rows import BadRows
from slimvec.data.classes import read_class_records
from slimvec.data.cleaning.cleaner import clean
from slimvec.data.graded_pairs import read_graded_pairs
from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.data.tables import check_file, has_suffix, iter_rows
from slimvec.data.texts import read_titled_texts
from slimvec.errors import InputError
from slimvec.files import sha256_of
from slimvec.frozen import Frozen
from slimvec.training.recipe import Contrastive, Recipe, Source
from slimvec.training.recipe.objectives import Anchor, NGrams

_TEXT = "text"
"""Field of plain texts, unless the recipe names another one."""
_QUERIES = {"query", "anchor", "question", "sentence1", "messages"}
"""Fields of pairs (`slimvec.data.columns`)."""


class SourceRecord(Frozen):
    """What a source held when it was read.

    Attributes:
        path: As the recipe names it.
        sha256: SHA-256 of the file; of a hub dataset, of the records that came.
        passages_sha256: SHA-256 of the file of passages, if there is one.
        license: As the recipe names it.
        weight: As the recipe gives it.
        num_records: Good records that were read.
        skipped: Rows left out because they cannot be used, by what was wrong: a kind of bad row, or of class examples
            `single` (its class has no other), `repeated`, `ambiguous` (in several classes) or `label` (the recipe skips
            its label).
        unread: Columns of the file that nothing was made of.
        dropped: Records left out by cleaning, by rule.
        removed: Texts taken by cleaning out of records that stayed, by rule.
        num_merged: Records that cleaning put into another one of the same query.
        num_used: Records taken.
    """

    path: str
    sha256: str
    passages_sha256: str | None = None
    license: str | None = None
    weight: float = 1.0
    num_records: int
    skipped: Mapping[str, int] = {}
    unread: tuple[str, ...] = ()
    dropped: Mapping[str, int] = {}
    removed: Mapping[str, int] = {}
    num_merged: int = 0
    num_used: int


def check_sources(sources: Iterable[Source]) -> None:
    """See that the files are there, before anything slow is done. Hub datasets are not asked for.

    Raises:
        InputError: one is not.
    """
    for source in sources:
        for path in (None if source.is_hub else source.path, source.passages):
            if path is not None:
                check_file(path)


def read_training_data(recipe: Recipe) -> tuple[list[Record], list[SourceRecord]]:
    """Read the sources of a recipe as records. Where it learns from texts, a plain text is its own query and positive.

    Returns:
        The records, in the sources' order, and what each source held.

    Raises:
        InputError: a file that is missing, malformed (the message names the line) or of which nothing is left.
        FetchError: a hub dataset cannot be had.
    """
    section, seed = recipe.texts or recipe.objective, recipe.run.seed
    if isinstance(section, Contrastive | Anchor):
        return read_sources(recipe.data, seed=seed)
    titles, field = isinstance(section, NGrams), section.field
    parts = [
        _read_texts(source, field or _TEXT, seed, titles)
        if has_suffix(source.path, (".txt",)) or field is not None or _holds_texts(source)
        else _read_source(source, seed, titles)
        for source in recipe.data
    ]
    return [record for records, _ in parts for record in records], [held for _, held in parts]


def read_sources(sources: Sequence[Source], *, seed: int) -> tuple[list[Record], list[SourceRecord]]:
    """Read pairs: the records of some sources, and what each source held. Errors as for `read_training_data`.

    Args:
        sources: Where the records are.
        seed: Random seed for the choice where a source is limited.
    """
    parts = [_read_source(source, seed, titles=False) for source in sources]
    return [record for records, _ in parts for record in records], [held for _, held in parts]


def distinct_texts(records: Iterable[Record], *, queries: bool = False) -> list[str]:
    """Give the positives of records, with `queries` their queries too, each text once."""
    texts = ((record.query, *record.positives) if queries else record.positives for record in records)
    return list(dict.fromkeys(text for own in texts for text in own))


def source_numbers(held: Sequence[SourceRecord]) -> NDArray[np.int64]:
    """Number the source of each record that was read with these."""
    return np.repeat(np.arange(len(held)), [source.num_used for source in held])


def _holds_texts(source: Source) -> bool:
    """Whether the first row of a file is a text and no pair."""
    if source.is_hub or source.kind != "pairs":
        return False
    row = next(iter(iter_rows(source.path)), None)
    return row is not None and _TEXT in row.values and not _QUERIES & row.values.keys()


def _read_texts(source: Source, field: str, seed: int, titles: bool) -> tuple[list[Record], SourceRecord]:
    """Read a file of plain texts, with their titles if anything is made of them."""
    found = [
        Record(text, (text,), source=source.path.stem, titles=(title,) if titles and title else ())
        for text, title in read_titled_texts(source.path, field=field)
    ]
    used = _choose(found, source, seed)
    return used, SourceRecord(
        path=str(source.path),
        sha256=sha256_of(source.path),
        license=source.license,
        weight=source.weight,
        num_records=len(found),
        num_used=len(used),
    )


def _read_source(source: Source, seed: int, titles: bool) -> tuple[list[Record], SourceRecord]:
    """Read one source, clean it and take what the recipe wants of it."""
    found, skipped, unread = _read_kind(source, seed)
    if not titles and any(map(_has_own_titles, found)):
        unread = (*unread, "title")
    kept, counts = _clean(found, source)
    used = [_with_task(record, source.task) for record in _choose(kept, source, seed)]
    return used, SourceRecord(
        path=str(source.path),
        sha256=_records_sha256(found) if source.is_hub else sha256_of(source.path),
        passages_sha256=None if source.passages is None else sha256_of(source.passages),
        license=source.license,
        weight=source.weight,
        num_records=len(found),
        skipped=skipped,
        unread=unread,
        num_used=len(used),
        **counts,
    )


def _read_kind(source: Source, seed: int) -> tuple[list[Record], dict[str, int], tuple[str, ...]]:
    """Read records as the kind of their source asks for, count what cannot be used, and name columns not read."""
    bad = BadRows(source.on_bad)
    counts: dict[str, int]
    if source.kind == "graded":
        low, high = source.grades or (0.0, 5.0)
        records, counts = list(read_graded_pairs(source.path, low=low, high=high, bad=bad)), {}
    elif source.kind == "classes":
        made = read_class_records(source.path, seed=seed, skip=source.skip, bad=bad)
        records, counts = (
            list(made),
            {
                "single": made.num_single,
                "repeated": made.num_repeated,
                "ambiguous": made.num_ambiguous,
                "label": made.num_skipped,
            },
        )
    else:
        records = list(read_records(source.path, passages=source.passages, bad=bad))
        counts = {str(kind): count for kind, count in bad.report().kinds.items()}
    skipped = {reason: count for reason, count in counts.items() if count}
    return records, skipped, bad.unread.get(str(source.path), ())


def _clean(records: list[Record], source: Source) -> tuple[list[Record], dict[str, Any]]:
    """Have the records pass the rules of their source, and count those that do not.

    Raises:
        InputError: none passes.
    """
    if source.cleaning is None:
        return records, {}
    passing, tally = clean(records, source.cleaning)
    kept = list(passing)
    report = tally.report()
    if records and not kept:
        rules = ", ".join(f"{rule} {count:,}" for rule, count in report.dropped.items())
        raise InputError(
            f"cleaning leaves none of the {len(records):,} records of {source.path} ({rules})",
            expected="at least one",
            do="loosen its rules",
        )
    removed: Counter[str] = Counter()
    for part in report.sources:
        removed.update(part.removed)
    num_merged = sum(part.num_merged for part in report.sources)
    return kept, {"dropped": report.dropped, "removed": dict(removed), "num_merged": num_merged}


def _choose(records: list[Record], source: Source, seed: int) -> list[Record]:
    """Take `limit` records, in the order of the file."""
    if source.limit is None or source.limit >= len(records):
        return records
    numbers = random.Random(f"{seed}/{source.path.name}").sample(range(len(records)), source.limit)
    return [records[number] for number in sorted(numbers)]


def _with_task(record: Record, task: str | None) -> Record:
    """Give a record without a task the source's."""
    return record if task is None or record.task is not None else replace(record, task=task)


def _has_own_titles(record: Record) -> bool:
    """Whether a record has a title that no positive begins with."""
    return any(not any(text.startswith(title) for text in record.positives) for title in record.titles)


def _records_sha256(records: Iterable[Record]) -> str:
    """Digest of records. Without titles it is what it was before records had any."""
    digest = hashlib.sha256()
    for record in records:
        fields = {name: value for name, value in asdict(record).items() if value or name != "titles"}
        digest.update(json.dumps(fields, sort_keys=True).encode())
    return digest.hexdigest()
