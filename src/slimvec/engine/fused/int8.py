"""Matrices and activations in 8 bits, with the outliers evened out first.

Weights have one scale a row, activations one a token, taken from their largest value; both symmetric, so a product is
sum(int8 x int8) x scale x scale, exact in between. A few input channels of a language model are ten times as large as
the rest and would take the whole range for themselves. SmoothQuant (arXiv 2211.10438) divides channel j of the
activations by s_j = max|x_j|^a / max|w_j|^(1-a) and multiplies the weights with it, which changes nothing but what is
rounded. Where activations keep 16 bits there is nothing to even out in them, and the same trick serves the weights: the
channels that vary most are divided by s_j = deviation_j^b, so that their weights are larger and rounded more finely.

What rounding changes in a product is for a good part the same for every token, since channels have means far from zero:
(W - W') mean(x) goes into the bias (Nagel et al., arXiv 1906.04721) and costs nothing at run time.

Maxima, deviations and means are measured on a few texts.
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
_WEIGHT_SHARE = 0.25
"""The b above: the best of 0 to 0.75 on what leaves slimvec-en's products (docs/log.md)."""
_LEAST_DEVIATION = 1e-3
"""The same as _LEAST, of deviations."""
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


def fine_rounding(deviations: Tensor) -> Tensor:
    """Give the divisors s of the input channels where the weights alone are rounded.

    Args:
        deviations: Standard deviation of each channel, [K] float32.

    Returns:
        s [K] float32, positive; only their proportions matter.
    """
    least = max(float(deviations.max()) * _LEAST_DEVIATION, _NOTHING)
    divisors = deviations.clamp(min=least) ** _WEIGHT_SHARE
    return divisors / divisors.mean()


def quantise_product(weight: Tensor, bias: Tensor | None, divisors: Tensor, means: Tensor) -> tuple[Int8Matrix, Tensor]:
    """Quantise a matrix for inputs that are divided, with a bias that keeps the mean output.

    Args:
        weight: [N, K].
        bias: [N] or None.
        divisors: Divisors of the inputs, [K] float32.
        means: Means of the inputs before they are divided, [K] float32.

    Returns:
        The matrix, and its bias [N] float32.
    """
    weight = weight * divisors
    matrix = Int8Matrix.of(weight)
    lost = (weight - matrix.values * matrix.scales[:, None]) @ (means / divisors)
    return matrix, lost if bias is None else bias.float() + lost


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
