"""Which candidates must not count as negatives: known right answers, and scores too good to be wrong.

A text is a known answer to a query when it is a positive of that query, or of another query with the same text, drawn
into the batch or not (`EmbeddedBatch.answer_ids`), or the text of the query itself. No text of a group, such as a
class, is a negative for another one of it.

Letters: B pairs, R rows, C candidate documents.
"""

import torch
from torch import Tensor

from slimvec.objectives.batch import NO_GROUP


def known_answers(queries: Tensor, candidates: Tensor, *, query_ids: Tensor, positive_ids: Tensor) -> Tensor:
    """Mark the candidates that are known to answer each query.

    Args:
        queries: [R] int64, ids of queries that are all among `query_ids`.
        candidates: [C] int64, same numbering.
        query_ids: [N] int64, the queries of the known pairs.
        positive_ids: [N] int64, what answers them.

    Returns:
        [R, C] bool.
    """
    same = queries[:, None] == query_ids[None, :]
    first = same.int().argmax(dim=1)
    answers = positive_ids[first][:, None] == candidates[None, :]
    answers |= queries[:, None] == candidates[None, :]
    # Most queries are there once. Only the pairs of repeated ones need the product, which is wide.
    same[torch.arange(len(queries), device=same.device), first] = False
    again = same.any(dim=0).nonzero()[:, 0]
    if len(again):
        is_positive = positive_ids[again][:, None] == candidates[None, :]
        answers |= (same[:, again].float() @ is_positive.float()) > 0
    return answers


def known_own_answers(texts: Tensor, queries: Tensor, *, query_ids: Tensor, positive_ids: Tensor) -> Tensor:
    """Mark the texts of each row that are known to answer the row's query.

    Args:
        texts: [B, K] int64, texts that belong to row i.
        queries: [B] int64, the query of each row, same numbering.
        query_ids: [N] int64, the queries of the known pairs.
        positive_ids: [N] int64, what answers them.

    Returns:
        [B, K] bool.
    """
    parts = [queries, query_ids, positive_ids, texts.flatten()]
    _, numbers = torch.unique(torch.cat(parts), return_inverse=True)
    own, query, positive, text = numbers.split([len(part) for part in parts])
    base = int(numbers.max()) + 1
    # A pair of texts as one number.
    known = query * base + positive
    asked = own[:, None] * base + text.view(texts.shape)
    return torch.isin(asked, known) | (texts == queries[:, None])


def same_group(groups: Tensor, others: Tensor) -> Tensor:
    """Mark what is in the group of each row.

    Args:
        groups: [R] int64, `NO_GROUP` for none.
        others: [C] int64, of candidates for all rows, or [R, C], of those of each row.

    Returns:
        [R, C] bool.
    """
    return (groups[:, None] == others) & (groups != NO_GROUP)[:, None]


def too_similar(similarity: Tensor, positive_similarity: Tensor, margin: float) -> Tensor:
    """Mark the candidates that score more than `margin` above the positive: more likely unlabelled than hard.

    The rule of KaLM-Embedding-V2.5 and Qwen3-Embedding (arXiv 2506.05176), there with margin 0.1.

    Args:
        similarity: [R, C] cosines of the candidates.
        positive_similarity: [R] cosines of the positives.
        margin: Distance in cosine.

    Returns:
        [R, C] bool, without gradient.
    """
    with torch.no_grad():
        return similarity > positive_similarity[:, None] + margin
