"""What a mining run did, with everything needed to judge and to repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimvec.data.bad_rows import BadRowsReport
from slimvec.data.mining.settings import MiningSettings
from slimvec.frozen import Frozen, Stored

_NUM_BINS = 20


class Histogram(Frozen):
    """How often values fall between two edges; the last bin holds its upper edge too.

    Attributes:
        edges: One more than there are counts; empty without values.
        counts: Values in each bin.
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


class SearchReport(Stored):
    """What every search over records says of itself.

    Attributes:
        num_records: Read.
        num_queries: Different ones.
        num_candidates: Different texts that the search could return.
        num_duplicates: Texts left out because an equal one came before.
        scorer: The model or BM25.
        texts_sha256: Over all records and the corpus.
        resumed: Whether a killed run was gone on with.
        num_truncated: Queries and documents truncated on the way into the model; empty for BM25.
        bad_rows: Rows left out by policy.
    """

    num_records: int
    num_queries: int
    num_candidates: int
    num_duplicates: int
    scorer: Mapping[str, Any]
    texts_sha256: str
    resumed: bool
    num_truncated: Mapping[str, int]
    bad_rows: BadRowsReport | None = None


class MiningReport(SearchReport):
    """What mining did.

    Attributes:
        settings: As asked for.
        first_rank: Best rank used.
        last_rank: Worst rank used.
        num_negatives: Chosen in all.
        records_by_negatives: Number of records by how many negatives they got.
        num_short: Records that got fewer than asked for.
        dropped: Candidates taken out within the ranks, by rule: margin, relative_margin, near_duplicate.
        num_known: Right answers and queries themselves that would have been among the documents found.
        num_missing: Ranks for which there was no document.
        ranks: Ranks of the negatives.
        negative_scores: Scores of the negatives.
        positive_scores: Scores of the positives.
        output_sha256: SHA-256 of the records' file.
    """

    settings: MiningSettings
    first_rank: int
    last_rank: int
    num_negatives: int
    records_by_negatives: Mapping[int, int]
    num_short: int
    dropped: Mapping[str, int]
    num_known: int
    num_missing: int
    ranks: Histogram
    negative_scores: Histogram
    positive_scores: Histogram
    output_sha256: str


def histogram(values: Sequence[float] | NDArray[Any]) -> Histogram:
    """Count values in 20 bins of equal width from the least to the greatest; whole numbers in bins of whole width."""
    found = np.asarray(values)
    if found.size == 0:
        return Histogram()
    if np.issubdtype(found.dtype, np.integer):
        width = max(1, -(-(int(found.max()) - int(found.min()) + 1) // _NUM_BINS))
        counts, edges = np.histogram(found, np.arange(found.min(), found.max() + width + 1, width))
    else:
        counts, edges = np.histogram(found.astype(np.float64), _NUM_BINS)
    return Histogram(edges=tuple(np.round(edges, 6).tolist()), counts=tuple(counts.tolist()))
