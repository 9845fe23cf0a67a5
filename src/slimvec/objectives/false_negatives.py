"""Which candidates must not count as negatives: known right answers, and scores too good to be wrong.

Letters: B pairs, C candidate documents.
"""

import torch
from torch import Tensor


def known_positives(query_ids: Tensor, positive_ids: Tensor, candidate_ids: Tensor) -> Tensor:
    """Mark the candidates whose text is known to answer a query.

    A candidate is known to answer query i when its text is the positive of i, or of another query with the
    same text as i, or the text of query i itself.

    Args:
        query_ids: [B] int64, equal for equal texts.
        positive_ids: [B] int64, same numbering.
        candidate_ids: [C] int64, same numbering.

    Returns:
        [B, C] bool.
    """
    same_query = query_ids[:, None] == query_ids[None, :]
    is_positive = positive_ids[:, None] == candidate_ids[None, :]
    # Without repeated queries the product below is `is_positive` itself.
    repeated = bool(same_query.sum() > query_ids.shape[0])
    answers = (same_query.float() @ is_positive.float()) > 0 if repeated else is_positive
    return answers | (query_ids[:, None] == candidate_ids[None, :])


def too_similar(similarity: Tensor, positive_similarity: Tensor, margin: float) -> Tensor:
    """Mark the candidates that score more than `margin` above the positive: more likely unlabelled than hard.

    The rule of KaLM-Embedding-V2.5 and Qwen3-Embedding (arXiv 2506.05176), there with margin 0.1.

    Args:
        similarity: [B, C] cosines of the candidates.
        positive_similarity: [B] cosines of the positives.
        margin: Distance in cosine.

    Returns:
        [B, C] bool, without gradient.
    """
    with torch.no_grad():
        return similarity > positive_similarity[:, None] + margin
