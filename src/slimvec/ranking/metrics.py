"""nDCG, MRR and recall by query, as trec_eval (and so pytrec_eval and mteb) computes them.

Letters: Q queries, K documents ranked, N documents.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.ranking.top_k import Ranking

Values = NDArray[np.float64]

MAIN_METRIC = "ndcg_at_10"
DEPTH = 10
"""Ranks that count for nDCG and MRR by default."""
RECALL_DEPTHS = (1, 10, 100)
NUM_KEPT = max(RECALL_DEPTHS)


def measure(ranking: Ranking, query_ids: Sequence[str], qrels: Mapping[str, Mapping[str, int]]) -> dict[str, Values]:
    """Score every query: values [Q] by metric.

    The metrics are `ndcg_at_10` (the main one), `mrr_at_10`, `recall_at_1`, `recall_at_10` and `recall_at_100`.

    Args:
        ranking: The best 100 documents of Q queries, or all.
        query_ids: Q ids.
        qrels: Grade by document by query; every query has one above 0.
    """
    gains = ranked_gains(ranking, query_ids, qrels)
    grades = [[grade for grade in qrels[query_id].values() if grade > 0] for query_id in query_ids]
    values = {
        "ndcg_at_10": ndcg(gains, grades, depth=DEPTH),
        "mrr_at_10": reciprocal_rank(gains, depth=DEPTH),
    }
    num_relevant = [len(relevant) for relevant in grades]
    return values | {f"recall_at_{depth}": recall(gains, num_relevant, depth=depth) for depth in RECALL_DEPTHS}


def ranked_gains(ranking: Ranking, query_ids: Sequence[str], qrels: Mapping[str, Mapping[str, int]]) -> Values:
    """Grades of the ranked documents, negative ones as 0: [Q, K]."""
    gains = np.zeros(ranking.top.shape)
    for number, query_id in enumerate(query_ids):
        grades = qrels[query_id]
        gains[number] = [max(0, grades.get(document_id, 0)) for document_id in ranking.ids(number)]
    return gains


def ndcg(gains: Values, grades: Sequence[Sequence[int]], *, depth: int) -> Values:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002): [Q].

    DCG = sum over ranks r = 1..depth of grade_r / log2(r + 1), with the grade itself as the gain, divided by the DCG of
    the judged documents in the best order.

    Args:
        gains: [Q, K] grades of the ranked documents.
        grades: All grades above 0 of each query.
        depth: How many ranks count.
    """
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    best = np.zeros((len(gains), depth))
    for row, found in zip(best, grades, strict=True):
        ordered = sorted(found, reverse=True)[:depth]
        row[: len(ordered)] = ordered
    ranked = np.zeros_like(best)
    ranked[:, : gains.shape[1]] = gains[:, :depth]
    result: Values = (ranked * discounts).sum(axis=1) / (best * discounts).sum(axis=1)
    return result


def reciprocal_rank(gains: Values, *, depth: int) -> Values:
    """1 / rank of the first relevant document, 0 if it is not among the first `depth`: [Q]."""
    relevant = gains[:, :depth] > 0
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def recall(gains: Values, num_relevant: Sequence[int], *, depth: int) -> Values:
    """Share of the relevant documents that are among the first `depth`: [Q]."""
    result: Values = (gains[:, :depth] > 0).sum(axis=1) / np.asarray(num_relevant)
    return result


def single_ndcg(similarities: NDArray[np.floating], right: NDArray[np.int64], *, depth: int = DEPTH) -> Values:
    """Give nDCG of each question that has one right document: 1 / log2(1 + rank), 0 beyond `depth`.

    Documents that are as like as the right one share its rank: a model that cannot tell them apart gains nothing by
    their order.

    Args:
        similarities: [Q, N].
        right: [Q] number of the right document of each question.
        depth: How many ranks count.
    """
    own = similarities[np.arange(len(right)), right][:, None]
    rank = 1 + (similarities > own).sum(axis=1) + 0.5 * ((similarities == own).sum(axis=1) - 1)
    return np.where(rank <= depth, 1 / np.log2(1 + rank), 0.0)
