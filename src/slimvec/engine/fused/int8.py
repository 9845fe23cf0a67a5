"""Matrices and activations in 8 bits, with the outliers evened out first.

Weights have one scale a row, activations one a token, taken from their largest value; both symmetric, so a product is
sum(int8 x int8) x scale x scale, exact in between. A few input channels of a language model are ten times as large as
the rest and would take the whole range for themselves. SmoothQuant (arXiv 2211.10438) divides channel j of the
activations by s_j = max|x_j|^a / max|w_j|^(1-a) and multiplies the weights with it, which changes nothing but what is
rounded. The maxima of x are measured on a few texts.
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SHARE = 0.6
"""The a above: the best of 0.4 to 0.7 on SmolLM2-135M and Gemma3-270M (docs/log.md)."""
_LEAST = 1e-5
"""Channels are taken to be at least this share of the largest: one that was never seen to move may move yet."""
ACTIVATION_LIMIT = 127
"""Largest quantised activation; the kernels for AVX2 multiply 16 bits and use up to 32767."""
_SIDE, _ROUNDS = 256, 8
"""What int8_slowness measures: sides of square matrices, and how often, a millisecond each."""
_NOTHING = 1e-30
"""A row with nothing larger is all zeros; the kernels say the same."""


@dataclass(frozen=True, eq=False)
class Int8Matrix:
    """A matrix [N, K] as int8 rows times their scales [N] float32."""

    values: Tensor
    scales: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> "Int8Matrix":
        """Quantise a matrix row by row."""
        largest = peaks(weight, dim=1)
        values = (weight * (127 / largest.clamp(min=_NOTHING))[:, None]).round_().to(torch.int8)
        return cls(values, largest / 127)


def peaks(x: Tensor, dim: int) -> Tensor:
    """Give the largest absolute values along a dimension, float32; without a copy of a large tensor."""
    low, high = torch.aminmax(x, dim=dim)
    return torch.maximum(high, -low).float()


def smoothing(inputs: Tensor, *weights: Tensor) -> Tensor:
    """Give the divisors s of the input channels.

    Args:
        inputs: max|x_j| of the activations, [K] float32.
        weights: Matrices [N, K] that multiply them.

    Returns:
        s [K] float32, positive; only their proportions matter.
    """
    columns = torch.stack([peaks(weight, dim=0) for weight in weights]).amax(dim=0)
    inputs, columns = (part.clamp(min=max(float(part.max()) * _LEAST, _NOTHING)) for part in (inputs, columns))
    divisors = inputs**_SHARE / columns ** (1 - _SHARE)
    return divisors / divisors.mean()


def int8_linear(x: Tensor, scales: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply activations [T, K] float32, quantised on the way, with an int8 matrix [N, K]: [T, N] float32.

    Sums are exact up to 2^24 and rounded beyond; the kernels' are exact. It is no faster than a product in float32.

    Args:
        x: Smoothed already.
        scales: Scales of the matrix's rows, [N].
        weight: Whole numbers of 8 bits, in float32: what plain torch multiplies.
        bias: [N] or None.
    """
    largest = peaks(x, dim=-1)[:, None]
    quantised = (x * torch.where(largest > _NOTHING, ACTIVATION_LIMIT / largest, 0)).round()
    product = F.linear(quantised, weight) * (largest / ACTIVATION_LIMIT * scales)
    return product if bias is None else product + bias.float()


def int8_slowness() -> str:
    """Say by what factor int8 without a kernel is slower than float32: it quantises, and multiplies in float32."""
    x, matrix, scales = torch.ones(_SIDE, _SIDE), torch.ones(_SIDE, _SIDE), torch.ones(_SIDE)
    full = quantised = math.inf
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        F.linear(x, matrix)
        between = time.perf_counter()
        int8_linear(x, scales, matrix, None)
        full, quantised = min(full, between - start), min(quantised, time.perf_counter() - between)
    factor = quantised / full
    return f"no kernel multiplies in int8 on this processor: such products take {factor:.1f} times float32's"
