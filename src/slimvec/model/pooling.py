"""Pooling of packed states: [T, H] and the texts' borders give [B, H].

One family: w_{t+1} = w_t (1 + b / t), so w_t is proportional to Gamma(t + b) / Gamma(t), with t = 1, 2, ... the token's
place in its text, instruction included (as sentence-transformers counts for `weightedmean`). b = 0 is the plain mean,
b = 1 the position-weighted mean of SGPT (arXiv 2202.08904), and b -> infinity the last token. Why this family: under
one causal layer of uniform attention it is the weighting that exposes every token equally (docs/pooling.md).
"""

import math

import torch
from torch import Tensor

from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch

_BETA = {"mean": 0.0, "weighted": 1.0}


def pool(states: Tensor, batch: PackedBatch, pooling: Pooling) -> Tensor:
    """Pool the states of each text.

    Args:
        states: [T, H] in any floating dtype.
        batch: Where the texts begin and end.
        pooling: Which pooling.

    Returns:
        [B, H] float32. Sums run in float32 whatever the states' dtype: bf16 sums of hundreds of terms drop the last.
    """
    if pooling.mode == "cls":
        return states[batch.cu_seqlens[:-1].long()].float()
    if pooling.mode == "last" or pooling.beta == math.inf:
        return states[batch.cu_seqlens[1:].long() - 1].float()
    weights = token_weights(batch, pooling)
    pooled = torch.zeros(batch.num_texts, states.shape[1], dtype=torch.float32, device=states.device)
    return pooled.index_add(0, batch.text_ids(), states.float() * weights[:, None])


def token_weights(batch: PackedBatch, pooling: Pooling) -> Tensor:
    """Give each token its weight in its text's vector: [T] float32, summing to 1 over each text.

    Args:
        batch: Where the texts begin and end.
        pooling: `mean`, `weighted` or `beta` with a finite beta.
    """
    beta = _BETA[pooling.mode] if pooling.beta is None else pooling.beta
    place = batch.position_ids.double() + 1
    text_ids = batch.text_ids()
    # In logarithms and relative to the last token, which has the largest weight: no beta overflows.
    log_weights = torch.lgamma(place + beta) - torch.lgamma(place)
    last = log_weights[batch.cu_seqlens[1:].long() - 1]
    weights = torch.exp(log_weights - last[text_ids])
    if not pooling.include_prompt:
        weights = weights * (batch.position_ids >= batch.prefix_lengths[text_ids])
    totals = torch.zeros(batch.num_texts, dtype=torch.float64, device=weights.device)
    totals.index_add_(0, text_ids, weights)
    return (weights / totals[text_ids]).float()


def truncate(vectors: Tensor, dims: int | None) -> Tensor:
    """Keep the first `dims` numbers of each vector: [B, H] gives [B, dims].

    Raises:
        ValueError: the vectors are narrower than that.
    """
    if dims is None:
        return vectors
    if dims > vectors.shape[-1]:
        raise ValueError(f"dims {dims} is more than the vectors' {vectors.shape[-1]}")
    return vectors[..., :dims]
