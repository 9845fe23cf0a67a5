"""Pooling as a running sum: the vectors of all prefixes of a text from the states of one causal pass.

In a causal model the states of a prefix are the prefix of the states, and the family of poolings (`model/pooling.py`)
gives a token the same weight in every prefix up to a factor. So the pooled vector of the first k tokens is
sum_{t<=k} w_t s_t / sum_{t<=k} w_t, for all k one cumulative sum.

Legend: T tokens, H width of a state.
"""

import torch
from torch import Tensor

from slimvec.model.pooling import log_weights
from slimvec.model.spec import Pooling

_RANGE = 500.0
"""Weights of a block differ by at most exp(500), so that no sum in float64 (up to exp(709)) loses its first terms."""


def running_pool(states: Tensor, pooling: Pooling, *, start: int = 0) -> Tensor:
    """Pool the tokens from `start` to each token in turn.

    Sums run in float64 and relative to the largest weight in sight, so that any beta and any length keep float32's
    accuracy: all terms of a sum weigh the same sign, nothing cancels.

    Args:
        states: [T, H] of one text, by a causal model.
        pooling: Any but `cls`.
        start: First token that is pooled.

    Returns:
        [T - start, H] float32; row k pools the tokens `start` to `start + k`, by their places in the whole text.

    Raises:
        ValueError: `cls` pooling, which has the same vector for every prefix.
    """
    if pooling.mode == "cls":
        raise ValueError("cls pooling looks at the first token only; every prefix has the same vector")
    own = states[start:]
    if pooling.standard_mode() == "last":
        return own.float()
    logs = log_weights(torch.arange(start + 1, states.shape[0] + 1, device=states.device), pooling)
    blocks = torch.unique_consecutive(((logs - logs[0]) / _RANGE).long(), return_counts=True)[1].tolist()
    pooled, sums, totals, before = [], own.new_zeros(1, own.shape[1]).double(), logs.new_zeros(1), logs[0]
    for part, part_logs in zip(torch.split(own, blocks), torch.split(logs, blocks), strict=True):
        weights, fade = torch.exp(part_logs - part_logs[-1]), torch.exp(before - part_logs[-1])
        sums = fade * sums[-1] + torch.cumsum(weights[:, None] * part.double(), dim=0)
        totals = fade * totals[-1] + torch.cumsum(weights, dim=0)
        pooled.append((sums / totals[:, None]).float())
        before = part_logs[-1]
    return torch.cat(pooled)


def window_pool(states: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Take the mean of windows of states, which may overlap, as differences of one running sum in float64.

    Args:
        states: [T, H].
        starts: [N] int64, first token of each window.
        ends: [N] int64, the token behind its last one.

    Returns:
        [N, H] float32. Gradients flow through.
    """
    sums = torch.cumsum(states.double(), dim=0)
    sums = torch.cat([sums.new_zeros(1, states.shape[1]), sums])
    return ((sums[ends] - sums[starts]) / (ends - starts)[:, None]).float()
