"""InfoNCE (arXiv 1807.03748) as embedding models use it, one partition function over all kinds of candidates.

With s the cosine and t the temperature, for row i:

    L_i = -log( e^{s(q_i, p_i)/t} / Z_i )
    Z_i = e^{s(q_i, p_i)/t} + sum over candidates c of w_c e^{s/t}

and the candidates are chosen by `terms` (GTE, arXiv 2308.03281; the names say what is compared with what):

    q-d   s(q_i, p_j), j != i, and s(q_i, n_jk) for all j and k: other documents for this query
    q-q   s(q_i, q_j), j != i: other queries
    d-d   s(p_i, p_j), j != i: other documents for this document
    d-q   s(q_j, p_i), j != i: other queries for this document

Hardness weight (EmbeddingGemma, arXiv 2509.20354, there a = 5): the hard negatives of row i itself, n_ik and what is
mixed of them, have w_c = e^{a sg(s(q_i, c))}, with sg for no gradient; all other candidates have w_c = 1. On the
logit s/t that is an addition of a sg(s).

Focal weight (KaLM-Embedding-V2, arXiv 2506.20923): w_i = (1 - e^{s(q_i, p_i)/t} / Z_i)^g, and the loss of the row is
w_i L_i.

Pairs can be in groups (`EmbeddedBatch.group_ids`), such as classes: a candidate of the row's own group never counts,
or, where places in the group are given (phrases of a document), only from beyond the row's horizon on.

Letters: B pairs, R rows, K negatives a pair, M mixtures a pair, C candidates, D dims.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import known_answers, same_group, too_similar
from slimvec.objectives.negative_mixing import Mixtures
from slimvec.objectives.settings import InfoNCE


@dataclass(frozen=True, eq=False)
class _Candidates:
    """One kind of candidates.

    Attributes:
        similarity: [R, C] cosines.
        dropped: [R, C] bool, which are left out.
        hard: [R, C] bool, which are hard negatives of their row; None for none.
        contrasts: [R, C] bool, which of these are contrasts; None for none.
    """

    similarity: Tensor
    dropped: Tensor
    hard: Tensor | None = None
    contrasts: Tensor | None = None


def info_nce(
    batch: EmbeddedBatch, settings: InfoNCE, *, rows: slice | None = None, mixtures: Mixtures | None = None
) -> Tensor:
    """Compute the loss of pairs by the module's formula.

    Args:
        batch: B pairs of unit vectors.
        settings: Settings of the formula.
        rows: The R pairs asked for; default all.
        mixtures: Further negatives of each pair, for its own query.

    Returns:
        [R], w_i L_i of each pair.
    """
    rows = slice(0, batch.pairs) if rows is None else rows
    positive = (batch.query[rows] * batch.positive[rows]).sum(-1)
    logits = [positive[:, None] / settings.temperature]
    for candidates in _candidates(batch, settings, rows, mixtures):
        logit, dropped = candidates.similarity / settings.temperature, candidates.dropped
        if candidates.hard is not None and settings.hardness:
            logit = logit + settings.hardness * candidates.similarity.detach() * candidates.hard
        if settings.margin is not None:
            alike = too_similar(candidates.similarity, positive, settings.margin)
            dropped = dropped | (alike if candidates.contrasts is None else alike & ~candidates.contrasts)
        logits.append(logit.masked_fill(dropped, -torch.inf))
    loss = torch.logsumexp(torch.cat(logits, dim=1), dim=1) - positive / settings.temperature
    return loss * focal_weight(loss, settings.focal) if settings.focal else loss


def focal_weight(loss: Tensor, power: float) -> Tensor:
    """Give each row's weight (1 - P)^g from its loss L = -log P: [B] to [B].

    1 - P is computed as -expm1(-L), exact for small L, and kept above zero: its power has no finite gradient
    there.
    """
    miss = -torch.expm1(-loss)
    return miss.clamp_min(torch.finfo(loss.dtype).tiny) ** power


def _candidates(batch: EmbeddedBatch, settings: InfoNCE, rows: slice, mixtures: Mixtures | None) -> list[_Candidates]:
    """Give the candidates of each term. Pairs are known to belong together as `known_answers` says."""
    query, positive = batch.query[rows], batch.positive[rows]
    answers, answered = _in_batch_answers(batch, rows, settings.mask_equal_texts)
    alike = answers | answered
    found = []
    if "q-d" in settings.terms:
        found.append(_Candidates(query @ batch.positive.T, answers))
        if batch.negatives is not None:
            found.append(_mined(batch, batch.negatives, rows, settings.mask_equal_texts))
    if mixtures is not None:
        similarity = (query[:, None] * mixtures.vectors[rows]).sum(-1)
        present = mixtures.present[rows]
        found.append(_Candidates(similarity, ~present, present))
    if "q-q" in settings.terms:
        found.append(_Candidates(query @ batch.query.T, alike))
    if "d-d" in settings.terms:
        found.append(_Candidates(positive @ batch.positive.T, alike))
    if "d-q" in settings.terms:
        found.append(_Candidates(positive @ batch.query.T, answered))
    return found


def _in_batch_answers(batch: EmbeddedBatch, rows: slice, mask_equal_texts: bool) -> tuple[Tensor, Tensor]:
    """Mark the positives that answer the queries of the rows, and the queries that their positives answer.

    Returns:
        [R, B] bool each; a pair always belongs together, and so do all of one group.
    """
    numbers = torch.arange(batch.pairs, device=batch.query.device)
    itself = numbers[rows][:, None] == numbers[None, :]
    if batch.group_ids is not None:
        grouped = same_group(batch.group_ids[rows], batch.group_ids)
        if batch.places is not None and batch.horizons is not None:
            grouped = grouped & (batch.places[None, :] <= batch.horizons[rows][:, None])
        itself = itself | grouped
    if not mask_equal_texts or batch.query_ids is None or batch.positive_ids is None:
        return itself, itself
    known = batch.known_pairs()
    answers = known_answers(batch.query_ids[rows], batch.positive_ids, **known)
    answered = known_answers(batch.query_ids, batch.positive_ids[rows], **known).T
    return itself | answers, itself | answered


def _mined(batch: EmbeddedBatch, negatives: Tensor, rows: slice, mask_equal_texts: bool) -> _Candidates:
    """Compare queries with every mined negative, their own and the others': [R, B * K]."""
    flat = negatives.flatten(0, 1)
    numbers = torch.arange(batch.pairs, device=flat.device)
    hard = numbers[rows][:, None] == numbers.repeat_interleave(batch.num_negatives)[None, :]
    dropped = ~batch.present.flatten()[None, :].expand_as(hard)
    if batch.group_ids is not None and batch.negative_group_ids is not None:
        dropped = dropped | same_group(batch.group_ids[rows], batch.negative_group_ids.flatten())
    if mask_equal_texts and batch.query_ids is not None:
        assert batch.negative_ids is not None
        answers = known_answers(batch.query_ids[rows], batch.negative_ids.flatten(), **batch.known_pairs())
        dropped = dropped | answers
    contrasts = None if batch.contrast_mask is None else hard & batch.contrast_mask.flatten()[None, :]
    return _Candidates(batch.query[rows] @ flat.T, dropped, hard, contrasts)
