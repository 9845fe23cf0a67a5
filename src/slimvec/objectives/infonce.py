"""InfoNCE (arXiv 1807.03748) as embedding models use it, one partition function over all kinds of candidates.

With s the cosine and t the temperature, for row i:

    L_i = -log( e^{s(q_i, p_i)/t} / Z_i )
    Z_i = e^{s(q_i, p_i)/t} + sum over candidates c of e^{s/t}

and the candidates are chosen by `terms` (GTE, arXiv 2308.03281; the names say what is compared with what):

    q-d   s(q_i, p_j), j != i, and s(q_i, n_jk) for all j and k: other documents for this query
    q-q   s(q_i, q_j), j != i: other queries
    d-d   s(p_i, p_j), j != i: other documents for this document
    d-q   s(q_j, p_i), j != i: other queries for this document

Focal weight (KaLM-Embedding-V2, arXiv 2506.20923): w_i = (1 - e^{s(q_i, p_i)/t} / Z_i)^g, and the loss is the
mean of w_i L_i.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import known_positives, too_similar

TERMS = ("q-d", "q-q", "d-d", "d-q")


@dataclass(frozen=True, eq=False)
class _Candidates:
    """One kind of candidates: cosines [B, C] and which of them are left out, [B, C] bool."""

    similarity: Tensor
    dropped: Tensor


def info_nce(
    batch: EmbeddedBatch,
    *,
    temperature: float,
    terms: Collection[str] = ("q-d",),
    mask_equal_texts: bool = True,
    margin: float | None = None,
    focal: float = 0.0,
) -> Tensor:
    """Compute the loss of the module's formula, a scalar.

    Args:
        batch: B pairs of unit vectors.
        temperature: t, above 0.
        terms: Kinds of candidates, of `TERMS`.
        mask_equal_texts: Leave out candidates whose text is a known answer; needs the batch's ids, and does
            nothing without them.
        margin: Leave out candidates more than this above the positive's cosine; None keeps all.
        focal: g, 0 for none. The weight has its gradient, as in the focal loss (arXiv 1708.02002).

    Raises:
        ValueError: an unknown term, no term, or a temperature that is not above 0.
    """
    return info_nce_rows(
        batch,
        temperature=temperature,
        terms=terms,
        mask_equal_texts=mask_equal_texts,
        margin=margin,
        focal=focal,
    ).mean()


def info_nce_rows(
    batch: EmbeddedBatch,
    *,
    temperature: float,
    terms: Collection[str] = ("q-d",),
    mask_equal_texts: bool = True,
    margin: float | None = None,
    focal: float = 0.0,
) -> Tensor:
    """Compute the loss of each pair, [B]. Arguments as for `info_nce`."""
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} must be above 0")
    if not terms or set(terms) - set(TERMS):
        raise ValueError(f"terms {sorted(terms)}: choose from {', '.join(TERMS)}")
    positive = (batch.query * batch.positive).sum(-1)
    logits = [positive[:, None] / temperature]
    for candidates in _candidates(batch, terms, mask_equal_texts):
        dropped = candidates.dropped
        if margin is not None:
            dropped = dropped | too_similar(candidates.similarity, positive, margin)
        logits.append((candidates.similarity / temperature).masked_fill(dropped, -torch.inf))
    loss = torch.logsumexp(torch.cat(logits, dim=1), dim=1) - positive / temperature
    return loss * focal_weight(loss, focal) if focal else loss


def focal_weight(loss: Tensor, power: float) -> Tensor:
    """Give each row's weight (1 - P)^g from its loss L = -log P: [B] to [B].

    1 - P is computed as -expm1(-L), exact for small L, and kept above zero: its power has no finite slope
    there.
    """
    miss = -torch.expm1(-loss)
    return miss.clamp_min(torch.finfo(loss.dtype).tiny) ** power


def _candidates(batch: EmbeddedBatch, terms: Collection[str], mask_equal_texts: bool) -> list[_Candidates]:
    """Give the candidates of each term. Pairs are known to belong together as `known_positives` says."""
    itself = torch.eye(batch.query.shape[0], dtype=torch.bool, device=batch.query.device)
    answers = itself | _in_batch_answers(batch) if mask_equal_texts else itself
    alike = answers | answers.T
    query, positive = batch.query, batch.positive
    found = []
    if "q-d" in terms:
        found.append(_Candidates(query @ positive.T, answers))
        if batch.negatives is not None:
            found.append(_mined(batch, batch.negatives, mask_equal_texts))
    if "q-q" in terms:
        found.append(_Candidates(query @ query.T, alike))
    if "d-d" in terms:
        found.append(_Candidates(positive @ positive.T, alike))
    if "d-q" in terms:
        found.append(_Candidates(positive @ query.T, answers.T))
    return found


def _in_batch_answers(batch: EmbeddedBatch) -> Tensor:
    """Mark the positives that answer each query: [B, B] bool, all False without ids."""
    if batch.query_ids is None or batch.positive_ids is None:
        size = batch.query.shape[0]
        return torch.zeros(size, size, dtype=torch.bool, device=batch.query.device)
    return known_positives(batch.query_ids, batch.positive_ids, batch.positive_ids)


def _mined(batch: EmbeddedBatch, negatives: Tensor, mask_equal_texts: bool) -> _Candidates:
    """Compare every query with every mined negative, its own and the others': [B, B * K]."""
    flat = negatives.flatten(0, 1)
    rows, count = batch.query.shape[0], flat.shape[0]
    dropped = torch.zeros(rows, count, dtype=torch.bool, device=flat.device)
    if batch.negative_mask is not None:
        dropped = dropped | ~batch.negative_mask.flatten()[None, :]
    if mask_equal_texts and batch.query_ids is not None:
        assert batch.positive_ids is not None
        assert batch.negative_ids is not None
        dropped = dropped | known_positives(batch.query_ids, batch.positive_ids, batch.negative_ids.flatten())
    return _Candidates(batch.query @ flat.T, dropped)
