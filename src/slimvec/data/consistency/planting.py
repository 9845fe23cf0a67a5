"""Planting wrong pairs, to see what a filter catches and what it costs."""

import random
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.collection import Collection
from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.texts import Numbers

_NUM_TRIES = 100


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
