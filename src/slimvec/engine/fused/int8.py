"""Matrices and activations in 8 bits, with the outliers evened out first.

Weights have one scale a row, activations one a token, taken from their largest value; both symmetric, so a product is
sum(int8 x int8) x scale x scale, exact in between. A few input channels of a language model are ten times as large as
the rest and would take the whole range for themselves. SmoothQuant (arXiv 2211.10438) divides channel j of the
activations by s_j = max|x_j|^a / max|w_j|^(1-a) and multiplies the weights with it, which changes nothing but what is
rounded. The maxima of x are measured on a few texts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SHARE = 0.6
"""The a above: the best of 0.4 to 0.7 on SmolLM2-135M and Gemma3-270M (docs/log.md)."""
_LEAST = 1e-5
"""Channels are taken to be at least this share of the largest: one that was never seen to move may move yet."""
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
        weight = weight.float()
        peaks = weight.abs().amax(dim=1, keepdim=True)
        values = (weight * (127 / peaks.clamp(min=_NOTHING))).round().to(torch.int8)
        return cls(values, peaks[:, 0] / 127)


def smoothing(peaks: Tensor, weight: Tensor) -> Tensor:
    """Give the divisors s of the input channels.

    Args:
        peaks: max|x_j| of the activations, [K].
        weight: [N, K].

    Returns:
        s [K] float32, positive; only their proportions matter.
    """
    columns = weight.float().abs().amax(dim=0)
    peaks, columns = (part.float().clamp(min=max(float(part.max()) * _LEAST, _NOTHING)) for part in (peaks, columns))
    divisors = peaks**_SHARE / columns ** (1 - _SHARE)
    return divisors / divisors.mean()


def int8_linear(x: Tensor, scales: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply activations [T, K] float32, quantised on the way, with an int8 matrix [N, K]: [T, N] float32.

    Args:
        x: Smoothed already.
        scales: Of the matrix's rows, [N].
        weight: int8.
        bias: [N] or None.
    """
    peaks = x.abs().amax(dim=-1, keepdim=True)
    quantised = (x * torch.where(peaks > _NOTHING, 127 / peaks, 0)).round()
    sums = F.linear(quantised.double(), weight.double())  # whole numbers: exact
    product = (sums * (peaks / 127 * scales)).float()
    return product if bias is None else product + bias.float()
