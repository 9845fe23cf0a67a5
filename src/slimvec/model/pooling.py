"""Pooling of packed states: [T, H] and the texts' borders give [B, H].

One family: w_{t+1} = w_t (1 + b / t), so w_t is proportional to Gamma(t + b) / Gamma(t), with t = 1, 2, ... the token's
place in its text, instruction included (as sentence-transformers counts for `weightedmean`). b = 0 is the plain mean,
b = 1 the position-weighted mean of SGPT (arXiv 2202.08904), and b -> infinity the last token. Why this family: under
one causal layer of uniform attention it is the weighting that exposes every token equally (docs/pooling.md).

Texts that share a beginning can be pooled without running it again: `PooledPrefix` holds what it adds to their sums.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch

_BETA = {"mean": 0.0, "weighted": 1.0}


@dataclass(frozen=True, eq=False)
class PooledPrefix:
    """What P shared first tokens add to the pooled vectors of the texts behind them.

    Attributes:
        length: P.
        first: State of the first token: [H] float32.
        weighted_sum: Sum of the tokens' weighted states, weights relative to the last one's: [H] float64.
        total: Sum of those weights.
    """

    length: int
    first: Tensor
    weighted_sum: Tensor
    total: float

    @classmethod
    def of(cls, states: Tensor, pooling: Pooling) -> Self:
        """Pool the states [P, H] of a prefix that is all prompt."""
        weights = torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)
        if pooling.include_prompt and not picks_one(pooling):
            logs = log_weights(torch.arange(1, states.shape[0] + 1, device=states.device), pooling)
            weights = torch.exp(logs - logs[-1])
        return cls(states.shape[0], states[0].float(), weights @ states.double(), float(weights.sum()))


def pool(states: Tensor, batch: PackedBatch, pooling: Pooling, prefix: PooledPrefix | None = None) -> Tensor:
    """Pool the states of each text.

    Args:
        states: [T, H] in any floating dtype.
        batch: Where the texts begin and end.
        pooling: Which pooling.
        prefix: Tokens that stand before every text and are not in the batch, the prompt's; its own prefix lengths
            then say nothing.

    Returns:
        [B, H] float32. Sums run in float32 whatever the states' dtype: bf16 sums of hundreds of terms drop the last.
    """
    if pooling.mode == "cls":
        own = states[batch.cu_seqlens[:-1].long()].float()
        return own if prefix is None else prefix.first.expand_as(own)
    if picks_one(pooling):
        return states[batch.cu_seqlens[1:].long() - 1].float()
    weights, shares = _weights(batch, pooling, prefix)
    pooled = torch.zeros(batch.num_texts, states.shape[1], dtype=torch.float32, device=states.device)
    pooled = pooled.index_add(0, batch.text_ids(), states.float() * weights[:, None])
    return pooled if prefix is None else pooled + shares[:, None] * prefix.weighted_sum.float()


def token_weights(batch: PackedBatch, pooling: Pooling) -> Tensor:
    """Give each token its weight in its text's vector: [T] float32, summing to 1 over each text.

    Args:
        batch: Where the texts begin and end.
        pooling: Any.
    """
    if not picks_one(pooling):
        return _weights(batch, pooling, None)[0]
    picked = batch.cu_seqlens[:-1] if pooling.mode == "cls" else batch.cu_seqlens[1:] - 1
    return torch.zeros(batch.num_tokens, device=batch.device).index_fill(0, picked.long(), 1.0)


def log_weights(place: Tensor, pooling: Pooling) -> Tensor:
    """Logarithms of the family's weights at places counted from 1: float64, up to a constant."""
    beta = _BETA[pooling.mode] if pooling.beta is None else pooling.beta
    return torch.lgamma(place.double() + beta) - torch.lgamma(place.double())


def picks_one(pooling: Pooling) -> bool:
    """Whether the vector is the state of one token."""
    return pooling.mode in ("last", "cls") or pooling.beta == math.inf


def _weights(batch: PackedBatch, pooling: Pooling, prefix: PooledPrefix | None) -> tuple[Tensor, Tensor]:
    """Give the tokens' weights [T] float32 and the factor of the prefix's sum [B] float32; together they sum to 1."""
    text_ids = batch.text_ids()
    start = 0 if prefix is None else prefix.length
    logs = log_weights(batch.position_ids + start + 1, pooling)
    last = logs[batch.cu_seqlens[1:].long() - 1]
    # Relative to the last token, which has the largest weight: no beta overflows.
    weights = torch.exp(logs - last[text_ids])
    shares = torch.zeros_like(last)
    if prefix is not None:
        shares = torch.exp(log_weights(torch.tensor(start, device=last.device), pooling) - last)
    elif not pooling.include_prompt:
        weights = weights * (batch.position_ids >= batch.prefix_lengths[text_ids])
    totals = shares * (0.0 if prefix is None else prefix.total)
    totals = totals.index_add(0, text_ids, weights)
    return (weights / totals[text_ids]).float(), (shares / totals).float()
