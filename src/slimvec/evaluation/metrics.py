"""nDCG, MRR and recall by query, as trec_eval (and so pytrec_eval and mteb) computes them.

Letters: Q queries, K documents ranked.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from slimvec.data.gains import ndcg, recall, reciprocal_rank
from slimvec.evaluation.intervals import Values
from slimvec.evaluation.ranking import Ranking

MAIN_METRIC = "ndcg_at_10"
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
        "ndcg_at_10": ndcg(gains, grades, depth=10),
        "mrr_at_10": reciprocal_rank(gains, depth=10),
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
