"""`filter_records`: keep the pairs that a search finds consistent.

KaLM-Embedding (arXiv 2501.01028) drops a pair whose positive is not among the first k = 50 of a search over the whole
corpus. Its code keeps 51, and lets the other positives of a record push one out; here k is k, and what is known to be
right for a query never counts against it.
Letters: R records, P positives of all records.
"""

import random
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimvec.data.consistency.consistency_report import (
    FilterReport,
    SelfTest,
    dropped_shares,
    group_reports,
    self_test_report,
)
from slimvec.data.mining.collection import Collection
from slimvec.data.mining.preparation import Inputs, Prepared, Stage, prepare, same_records
from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.row_files import RowFile
from slimvec.data.mining.scoring import QUERIES_AT_ONCE
from slimvec.data.mining.search import find_ranks
from slimvec.data.mining.texts import Numbers
from slimvec.data.records import Record
from slimvec.data.writers import check_records_output, record_writer
from slimvec.errors import InputError

_ROW = np.dtype([("rank", "<i8"), ("score", "<f4")])
_NUM_TRIES = 100
DEFAULT_K = 50


def rank_positives(ready: Prepared, collection: Collection, name: str, stage: Stage) -> Numbers:
    """Rank every positive of every record for its query.

    The rank is 1 plus the number of texts of the corpus that score at least as much. Texts known to be right for the
    query do not count: the other positives of the record, those of records with the same query, texts equal to one of
    these, and the query itself. Who ties with the positive stands before it.

    Args:
        ready: Scores and work folder.
        collection: The texts of `ready`, with positives that may be others.
        name: Tells these positives from others in the work folder.
        stage: Shows progress.

    Returns:
        [P] ranks from 1, in the order of `collection.positives`.
    """
    asked = collection.query_of[collection.positives.rows]
    targets = Ragged.group(asked, collection.positives.values, len(collection.queries))
    ranks = _target_ranks(ready, collection, targets, name, stage)["rank"]
    width = len(collection.documents)
    keys = targets.rows * width + targets.values  # ascending, as the targets are sorted by query and document
    result: Numbers = ranks[np.searchsorted(keys, asked * width + collection.positives.values)]
    return result


def _target_ranks(
    ready: Prepared, collection: Collection, targets: Ragged, name: str, stage: Stage
) -> NDArray[np.void]:
    """Rows of rank and score, one a target; every query has at least one."""
    file = RowFile(ready.folder / f"ranks-{name}", _ROW)
    known = collection.known()
    start = int(np.searchsorted(targets.bounds, file.num_rows))
    with stage("ranking", total=len(targets), unit="queries") as advance:
        advance(start)
        while start < len(targets):
            stop = min(start + QUERIES_AT_ONCE, len(targets))
            ranks, scores = find_ranks(
                ready.scorer, start, stop, known.between(start, stop), targets.between(start, stop)
            )
            rows = np.empty(len(ranks), dtype=_ROW)
            rows["rank"], rows["score"] = ranks, scores
            file.append(rows)
            advance(stop - start)
            start = stop
    return file.read()


def plant_wrong_pairs(collection: Collection, *, share: float, seed: int) -> tuple[Collection, NDArray[np.bool_]]:
    """Give a share of the records the positives of other records.

    The texts stay the same, so the right answers are still in the corpus and compete. A record never gets a text that
    is known to be right for its query; where a hundred draws find no other, it keeps its own.

    Args:
        collection: Records and texts.
        share: Share of the records, more than 0 and less than 1; at least one record.
        seed: Random seed for the choice of records and positives.

    Returns:
        The collection with wrong pairs, and which records [R] have them.
    """
    generator = random.Random(f"planting/{seed}")
    num_records = len(collection.query_of)
    wanted = generator.sample(range(num_records), max(1, round(share * num_records)))
    right = _right_answers(collection)
    rows = [collection.positives[record] for record in range(num_records)]
    planted = np.zeros(num_records, dtype=bool)
    for record in sorted(wanted):
        query = int(collection.query_of[record])
        for _ in range(_NUM_TRIES):
            other = collection.positives[generator.randrange(num_records)]
            if not set(right[query].tolist()) & set(other.tolist()):
                rows[record] = other
                planted[record] = True
                break
    return collection.with_positives(Ragged.of(rows)), planted


def _right_answers(collection: Collection) -> Ragged:
    """Documents known to be right for each query: [Q] rows; also those that are not candidates."""
    return replace(collection, num_candidates=len(collection.documents)).known()


def record_best(ranks: Numbers, positives: Ragged) -> Numbers:
    """The best rank of each record [R] among those of its positives [P]."""
    best: Numbers = np.minimum.reduceat(ranks, positives.bounds[:-1])
    return best


def filter_records(
    inputs: Inputs,
    output: Path,
    *,
    k: int = DEFAULT_K,
    dropped: Path | None = None,
    plant_share: float | None = None,
    plant_seed: int = 0,
    force: bool = False,
) -> FilterReport:
    """Write the records whose positives are found among the first k texts of the corpus.

    Positives that are found are kept; a record with none is dropped. `rank_positives` says what
    counts as a competitor and how ties are treated. A killed run goes on where it was.

    Args:
        inputs: Records, model and corpus.
        output: A `.jsonl` or `.jsonl.gz` file.
        k: At least 1.
        dropped: Where to write the records that are dropped; default nowhere.
        plant_share: Run a self-test that gives this share of the records (more than 0, less than 1) wrong positives
            and counts what every k catches and loses; the output is not changed by it. Default: no self-test.
        plant_seed: Random seed for the choice of the wrong pairs.
        force: Replace the outputs.

    Raises:
        InputError: as for `prepare`; a k or share that makes no sense; an output that is taken or of another kind.
        ModelError: as for `prepare`.
        StorageError: the disk is full.
    """
    if k < 1 or (plant_share is not None and not 0 < plant_share < 1):
        raise InputError(f"k {k}, share {plant_share}", expected="k of at least 1, and a share between 0 and 1")
    for path in (output, dropped):
        if path is not None:
            check_records_output(path, force=force)
    with prepare(inputs) as ready:
        ranks = rank_positives(ready, ready.collection, "own", inputs.stage)
        best = record_best(ranks, ready.collection.positives)
        test = None
        if plant_share is not None:
            test = _self_test(inputs, ready, k, plant_share, plant_seed)
        sources, languages = _write(inputs, ready, ranks, output, dropped, k=k, force=force)
    num_kept, found = int((best <= k).sum()), int((ranks <= k).sum())
    num_of_kept = int(np.diff(ready.collection.positives.bounds)[best <= k].sum())
    return FilterReport(
        **ready.facts(inputs),
        k=k,
        num_kept=num_kept,
        num_dropped=len(best) - num_kept,
        num_positives=len(ranks),
        num_positives_removed=num_of_kept - found,
        at=dropped_shares(best, k),
        by_source=group_reports(best, sources, k),
        by_language=group_reports(best, languages, k),
        self_test=test,
    )


def _self_test(inputs: Inputs, ready: Prepared, k: int, share: float, seed: int) -> SelfTest:
    """Plant wrong pairs, rank again, and count."""
    collection, planted = plant_wrong_pairs(ready.collection, share=share, seed=seed)
    ranks = rank_positives(ready, collection, f"planted-{share}-{seed}", inputs.stage)
    best = record_best(ranks, collection.positives)
    return self_test_report(best, planted, k, share=share, seed=seed)


def _write(
    inputs: Inputs, ready: Prepared, ranks: Numbers, output: Path, dropped: Path | None, *, k: int, force: bool
) -> tuple[list[str], list[str]]:
    """Write both kinds of records; give source and language of every record."""
    collection = ready.collection
    sources: list[str] = []
    languages: list[str] = []
    with ExitStack() as stack:
        advance = stack.enter_context(inputs.stage("writing", total=len(collection.query_of), unit="records"))
        keep = stack.enter_context(record_writer(output, force=force))
        drop = None if dropped is None else stack.enter_context(record_writer(dropped, force=force))
        for number, record in enumerate(same_records(inputs, collection)):
            sources.append(record.source)
            languages.append(record.language or "")
            own = ranks[collection.positives.bounds[number] : collection.positives.bounds[number + 1]]
            kept = _with_positives(record, (own <= k).tolist())
            if kept is not None:
                keep(kept)
            elif drop is not None:
                drop(record)
            advance(1)
    return sources, languages


def _with_positives(record: Record, keep: list[bool]) -> Record | None:
    """The record with these of its positives, and their scores if it has any; None when there are none."""
    if not any(keep):
        return None
    chosen = [number for number, kept in enumerate(keep) if kept]
    scores = record.scores
    if scores:
        scores = (*(scores[number] for number in chosen), *scores[len(record.positives) :])
    return replace(record, positives=tuple(record.positives[number] for number in chosen), scores=scores)
