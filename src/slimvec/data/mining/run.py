"""`mine_negatives`: search, choose, write.

Letters: Q queries, R records, K documents kept of each query.
"""

import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from slimvec.data.duplicates import NearDuplicateIndex
from slimvec.data.mining.collection import Collection
from slimvec.data.mining.mining_report import MiningReport, histogram
from slimvec.data.mining.preparation import Inputs, Prepared, Stage, prepare, same_records
from slimvec.data.mining.row_files import RowFile
from slimvec.data.mining.scoring import QUERIES_AT_ONCE
from slimvec.data.mining.search import find_best
from slimvec.data.mining.settings import MiningSettings
from slimvec.data.mining.texts import TextStore
from slimvec.data.records import Record
from slimvec.data.text_ids import text_ids
from slimvec.data.writers import check_records_output, record_writer
from slimvec.errors import InputError
from slimvec.files import sha256_of
from slimvec.ranking.words import split_tokens

Rule = Literal["margin", "relative_margin", "near_duplicate"]
_RECORDS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document within the ranks.

    Attributes:
        rank: From 1, known documents not counted.
        document: Its number.
        score: With the query.
    """

    rank: int
    document: int
    score: float


def choose_negatives(
    candidates: Sequence[Candidate],
    settings: MiningSettings,
    *,
    positive_score: float,
    taken: Sequence[str],
    documents: TextStore,
    seed: str,
) -> tuple[list[Candidate], Counter[Rule]]:
    """Choose the negatives of a record.

    Args:
        candidates: The documents within the ranks, best first.
        settings: Rules and choice.
        positive_score: The lowest score of a positive: a negative must stay below all of them.
        taken: Query and positives; near duplicates of these are no negatives.
        documents: The texts of the candidates; read for near duplicates only.
        seed: Tells this record's choice from those of others.

    Returns:
        The negatives, best first, and how many candidates each rule took out; one that several rules exclude counts
        for the first, in the order margin, relative margin, near duplicate. Near duplicates among the candidates are
        judged in the order in which they would be chosen, and only until there are enough.
    """
    dropped: Counter[Rule] = Counter()
    allowed = []
    for candidate in candidates:
        rule = _margin_rule(candidate.score, positive_score, settings)
        if rule is None:
            allowed.append(candidate)
        else:
            dropped[rule] += 1
    if settings.choice == "sample":
        random.Random(seed).shuffle(allowed)
    if settings.near_duplicates is not None:
        allowed = _without_near_duplicates(allowed, settings, taken, documents, dropped)
    return sorted(allowed[: settings.num_negatives], key=lambda candidate: candidate.rank), dropped


def _margin_rule(score: float, positive: float, settings: MiningSettings) -> Rule | None:
    """The margin that forbids a score, if any."""
    if settings.margin is not None and score > positive - settings.margin:
        return "margin"
    share = settings.relative_margin
    if share is not None and score >= positive - (1 - share) * abs(positive):
        return "relative_margin"
    return None


def _without_near_duplicates(
    allowed: Sequence[Candidate],
    settings: MiningSettings,
    taken: Sequence[str],
    documents: TextStore,
    dropped: Counter[Rule],
) -> list[Candidate]:
    """Enough candidates of which none nearly repeats what is taken or another."""
    assert settings.near_duplicates is not None
    index = NearDuplicateIndex(threshold=settings.near_duplicates)
    for text in taken:
        index.add(split_tokens(text))
    chosen: list[Candidate] = []
    for candidate in allowed:
        if len(chosen) == settings.num_negatives:
            break
        if index.add(split_tokens(documents.read([candidate.document])[0])) is None:
            chosen.append(candidate)
        else:
            dropped["near_duplicate"] += 1
    return chosen


@dataclass
class _Tally:
    """What is counted while negatives are chosen."""

    by_negatives: Counter[int] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    num_missing: int = 0
    ranks: "array[int]" = field(default_factory=lambda: array("q"))
    negative_scores: "array[float]" = field(default_factory=lambda: array("f"))
    positive_scores: "array[float]" = field(default_factory=lambda: array("f"))


def mine_negatives(
    inputs: Inputs, output: Path, settings: MiningSettings | None = None, *, force: bool = False
) -> MiningReport:
    """Give records the hard negatives that a search finds, in place of those they have.

    Every record is written, in order, with its positives as they are, its negatives, and the scores of both. A record
    for which the rules leave fewer negatives than asked gets fewer; none of the known positives of its query, of the
    texts equal to these or to the query is ever taken. A killed run goes on where it was, and its result is the same.

    Args:
        inputs: Records, model and corpus.
        output: A `.jsonl` or `.jsonl.gz` file.
        settings: Which of the documents found are taken.
        force: Replace the output.

    Raises:
        InputError: as for `prepare`; an output that is taken or of another kind; ranks beyond the corpus.
        ModelError: as for `prepare`.
        StorageError: the disk is full.
    """
    settings = MiningSettings() if settings is None else settings
    check_records_output(output, force=force)
    with prepare(inputs, check=lambda collection: _check_ranks(settings, collection)) as ready:
        collection = ready.collection
        last = settings.ranks(collection.num_candidates)[1]
        found = _search(ready, min(last, collection.num_candidates), inputs.stage)
        tally = _Tally()
        with (
            inputs.stage("choosing", total=len(collection.query_of), unit="records") as advance,
            record_writer(output, force=force) as write,
        ):
            for records in _chosen(inputs, ready, found, settings, tally):
                for record in records:
                    write(record)
                advance(len(records))
        return _report(ready, inputs, output, settings, tally, num_known=int(found["num_known"].sum()))


def _check_ranks(settings: MiningSettings, collection: Collection) -> None:
    first = settings.ranks(collection.num_candidates)[0]
    if first > collection.num_candidates:
        raise InputError(
            f"ranks from {first} in a corpus of {collection.num_candidates} texts",
            expected="ranks that it has",
            do="give lower ranks or a larger corpus",
        )


def _search(ready: Prepared, num_kept: int, stage: Stage) -> NDArray[Any]:
    """Find the best documents of all queries: [Q] rows of `documents` [K], `scores` [K] and `num_known`."""
    row = np.dtype([("documents", "<i8", (num_kept,)), ("scores", "<f4", (num_kept,)), ("num_known", "<i8")])
    file = RowFile(ready.folder / f"best-{num_kept}", row)
    known = ready.collection.known()
    num_queries = len(ready.collection.queries)
    with stage("searching", total=num_queries, unit="queries") as advance:
        advance(file.num_rows)
        while (start := file.num_rows) < num_queries:
            stop = min(start + QUERIES_AT_ONCE, num_queries)
            found = find_best(ready.scorer, start, stop, known.between(start, stop), num_kept)
            rows = np.empty(stop - start, dtype=row)
            rows["documents"], rows["scores"], rows["num_known"] = found.documents, found.scores, found.num_known
            file.append(rows)
            advance(stop - start)
    return file.read()


def _chosen(
    inputs: Inputs, ready: Prepared, found: NDArray[Any], settings: MiningSettings, tally: _Tally
) -> Iterator[list[Record]]:
    """The records with their new negatives, block by block."""
    collection = ready.collection
    records = same_records(inputs, collection)
    start = 0
    while block := list(islice(records, _RECORDS_AT_ONCE)):
        positives = collection.positives.between(start, start + len(block))
        queries = collection.query_of[start : start + len(block)]
        scores = ready.scorer.pairs(queries[positives.rows], positives.values)
        yield [
            _with_negatives(record, own, found[query], collection, settings, tally)
            for record, query, own in zip(block, queries, np.split(scores, positives.bounds[1:-1]), strict=True)
        ]
        start += len(block)


def _with_negatives(
    record: Record,
    positive_scores: NDArray[np.float32],
    found: Any,
    collection: Collection,
    settings: MiningSettings,
    tally: _Tally,
) -> Record:
    """One record with its new negatives and all scores; `found` is its query's row."""
    first, last = settings.ranks(collection.num_candidates)
    documents = found["documents"][first - 1 : last].tolist()
    existing = [number for number in documents if number >= 0]
    tally.num_missing += last - first + 1 - len(existing)
    scored = zip(existing, found["scores"][first - 1 : last].tolist(), strict=False)
    candidates = [Candidate(rank, number, score) for rank, (number, score) in enumerate(scored, start=first)]
    chosen, dropped = choose_negatives(
        candidates,
        settings,
        positive_score=float(positive_scores.min()),
        taken=(record.query, *record.positives),
        documents=collection.documents,
        seed=f"{settings.seed}/{text_ids([record.query, *record.positives])}",
    )
    tally.by_negatives[len(chosen)] += 1
    tally.dropped.update(dropped)
    tally.ranks.extend(candidate.rank for candidate in chosen)
    tally.negative_scores.extend(candidate.score for candidate in chosen)
    tally.positive_scores.extend(positive_scores.tolist())
    scores = [*positive_scores.tolist(), *(candidate.score for candidate in chosen)]
    negatives = tuple(collection.documents.read([candidate.document for candidate in chosen]))
    return replace(record, negatives=negatives, scores=tuple(round(score, 6) for score in scores))


def _report(
    ready: Prepared, inputs: Inputs, output: Path, settings: MiningSettings, tally: _Tally, *, num_known: int
) -> MiningReport:
    first, last = settings.ranks(ready.collection.num_candidates)
    digest = sha256_of(output)
    return MiningReport(
        **ready.facts(inputs),
        settings=settings,
        first_rank=first,
        last_rank=last,
        num_negatives=len(tally.ranks),
        records_by_negatives=dict(sorted(tally.by_negatives.items())),
        num_short=sum(count for number, count in tally.by_negatives.items() if number < settings.num_negatives),
        dropped=dict(sorted(tally.dropped.items())),
        num_known=num_known,
        num_missing=tally.num_missing,
        ranks=histogram(np.array(tally.ranks)),
        negative_scores=histogram(np.array(tally.negative_scores)),
        positive_scores=histogram(np.array(tally.positive_scores)),
        output_sha256=digest,
    )
