"""What one source gave to a training run, in numbers."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from slimvec.data.card.licenses import License
from slimvec.data.records import Record, record_row
from slimvec.frozen import Frozen
from slimvec.ranking.words import normal_form

_TOKEN_SAMPLE = 2000
"""Texts of each side that are tokenised: enough for a 90% quantile within two points, whatever the size."""


class Lengths(Frozen):
    """Quantiles of the lengths of some texts.

    Attributes:
        num_texts: Texts measured.
        shortest: Length of the shortest.
        median: Half are at most so long.
        p90: Nine of ten are at most so long.
        p99: All but one of a hundred are at most so long.
        longest: Length of the longest.
    """

    num_texts: int
    shortest: int
    median: int
    p90: int
    p99: int
    longest: int


class SourceSummary(Frozen):
    """A source as it was used.

    Attributes:
        name: What its records say that they are from, where they say one thing; else the file's name.
        parts: Records used by what they say that they are from, most first.
        path: Where it was read from.
        sha256: SHA-256 of the file; None when the records did not come from a file.
        records_sha256: Fingerprint of the records used, whatever their order: the sum of their digests modulo 2^256.
        license: Licence of the data.
        weight: How often its records come, against those of a source of weight 1.
        num_read: Records read.
        num_used: Records used.
        skipped: Rows that could not be read, by what was wrong.
        dropped: Records that cleaning left out, by rule; None when it was not cleaned.
        num_merged: Records that cleaning put into another one.
        num_repeated: Records used whose query and positives an earlier record has, of this source or of one before
            it; white space and capitals aside.
        num_positives: In all records used.
        num_negatives: Likewise, contrasts included.
        languages: Records used by declared language; `` (empty) is for those that declare none.
        tasks: Likewise by task.
        query_chars: Lengths of queries, in characters.
        document_chars: Characters of positives and negatives.
        query_tokens: Lengths in tokens, without prompts, of a random sample; None without a tokenizer.
        document_tokens: Likewise.
    """

    name: str
    parts: Mapping[str, int] = {}
    path: str
    sha256: str | None
    records_sha256: str
    license: License
    weight: float = 1.0
    num_read: int
    num_used: int
    skipped: Mapping[str, int] = {}
    dropped: Mapping[str, int] | None = None
    num_merged: int = 0
    num_repeated: int
    num_positives: int
    num_negatives: int
    languages: dict[str, int]
    tasks: dict[str, int]
    query_chars: Lengths
    document_chars: Lengths
    query_tokens: Lengths | None = None
    document_tokens: Lengths | None = None


def summarise_source(
    records: Sequence[Record],
    *,
    name: str,
    path: str,
    sha256: str | None,
    license: License,  # noqa: A002  # the field's name
    num_read: int | None = None,
    weight: float = 1.0,
    skipped: Mapping[str, int] | None = None,
    dropped: Mapping[str, int] | None = None,
    num_merged: int = 0,
    count_tokens: Callable[[Sequence[str]], Sequence[int]] | None = None,
    seen: set[bytes] | None = None,
) -> SourceSummary:
    """Measure the records of a source.

    Args:
        records: Those used; at least one.
        name: What to call it where its records are from several sources, or name none.
        path: As for `SourceSummary`, like all that follow but `count_tokens` and `seen`.
        sha256: Likewise.
        license: Likewise.
        num_read: Default the number of records.
        weight: Likewise.
        skipped: Likewise.
        dropped: Likewise.
        num_merged: Likewise.
        count_tokens: Gives the number of tokens of each of some texts.
        seen: Digests of the records of the sources before; this one's are added. Default: none before.
    """
    queries = [record.query for record in records]
    documents = [text for record in records for text in (*record.positives, *record.negatives, *record.contrasts)]
    num_positives = sum(len(record.positives) for record in records)
    parts = _counts(record.source for record in records)
    return SourceSummary(
        name=next(iter(parts)) or name if len(parts) == 1 else name,
        parts=parts,
        path=path,
        sha256=sha256,
        records_sha256=records_sha256(records),
        license=license,
        weight=weight,
        num_read=len(records) if num_read is None else num_read,
        num_used=len(records),
        skipped=skipped or {},
        dropped=dropped,
        num_merged=num_merged,
        num_repeated=_count_repeated(records, set() if seen is None else seen),
        num_positives=num_positives,
        num_negatives=len(documents) - num_positives,
        languages=_counts(record.language for record in records),
        tasks=_counts(record.task for record in records),
        query_chars=_lengths([len(text) for text in queries]),
        document_chars=_lengths([len(text) for text in documents]),
        query_tokens=_token_lengths(queries, count_tokens),
        document_tokens=_token_lengths(documents, count_tokens),
    )


def records_sha256(records: Iterable[Record]) -> str:
    """Digest of records, the same in every order: the sum of the records' digests modulo 2^256, in hexadecimal."""
    total = 0
    for record in records:
        line = json.dumps(record_row(record), sort_keys=True, ensure_ascii=False)
        total += int.from_bytes(sha256(line.encode()).digest(), "big")
    return format(total % (1 << 256), "064x")


def _count_repeated(records: Iterable[Record], seen: set[bytes]) -> int:
    num_repeated = 0
    for record in records:
        texts = "\0".join((normal_form(record.query), *sorted(map(normal_form, record.positives))))
        digest = sha256(texts.encode()).digest()[:12]
        num_repeated += digest in seen
        seen.add(digest)
    return num_repeated


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(value or "" for value in values).most_common())


def _token_lengths(
    texts: Sequence[str], count_tokens: Callable[[Sequence[str]], Sequence[int]] | None
) -> Lengths | None:
    if count_tokens is None:
        return None
    sample = texts if len(texts) <= _TOKEN_SAMPLE else random.Random(0).sample(texts, _TOKEN_SAMPLE)
    return _lengths(count_tokens(sample))


def _lengths(lengths: Sequence[int]) -> Lengths:
    # "higher" gives a length that occurs, and never one that is too short for its share.
    quantiles = np.quantile(lengths, (0, 0.5, 0.9, 0.99, 1), method="higher").astype(int).tolist()
    shortest, median, p90, p99, longest = quantiles
    return Lengths(num_texts=len(lengths), shortest=shortest, median=median, p90=p90, p99=p99, longest=longest)
