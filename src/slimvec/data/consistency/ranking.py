"""The rank of every positive over the whole corpus.

Letters: R records, P positives of all records.
"""

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.collection import Collection
from slimvec.data.mining.preparation import Prepared, Stage
from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.row_files import RowFile
from slimvec.data.mining.scoring import QUERIES_AT_ONCE
from slimvec.data.mining.search import find_ranks
from slimvec.data.mining.texts import Numbers

_ROW = np.dtype([("rank", "<i8"), ("score", "<f4")])


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
