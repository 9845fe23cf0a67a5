"""Layers into int8 as they are read: a few texts are run through each in full, which shows what to smooth.

Where the kernels multiply activations of 8 bits, the feed-forward part's first product and the attention's last are
held in int8, in all layers but the first and the last few: half of the multiply-adds of a small decoder, and the half
that bears it (docs/log.md has the others). Where they multiply activations of 16 bits (AVX2, the oldest Arm), only the
weights are rounded to speak of, and all four products of all layers are held in int8, without smoothing. One layer at a
time is in memory in full, so loading takes no more memory than the full model does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.engine.fused.errors import UnsupportedError
from slimvec.engine.fused.int8 import Int8Matrix, peaks, smoothing
from slimvec.engine.fused.reference import TorchLayer, TorchLayers
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.engine.fused.weights import Int8Scales, LayerWeights
from slimvec.text.batch import PackedBatch

NUM_FIRST, NUM_LAST = 2, 2
"""Layers at either end that stay in full where activations have 8 bits: those where int8 errs most.

docs/log.md has what other choices cost.
"""


@dataclass(frozen=True, eq=False)
class Int8Texts:
    """Texts to calibrate on, and to check the result with.

    Attributes:
        measured: Token ids of the texts that are calibrated on.
        held_out: Token ids of others.
        check: Called with the states [T, H] of the texts held out, in full and in int8; raises when they are too far
            apart.
    """

    measured: Sequence[Sequence[int]]
    held_out: Sequence[Sequence[int]]
    check: Callable[[Tensor, Tensor], None]


class Int8Layers:
    """Quantises layers in their order.

    Args:
        spec: The decoder.
        texts: What to calibrate on.
        embedding: [V, H].
        causal: Attention mode.
        scale: Factor of the embeddings.
        dtype: Data type of the full layers.
        wide: Whether activations have 16 bits.

    Raises:
        UnsupportedError: the model has no layer but those that stay in full.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        texts: Int8Texts,
        embedding: Tensor,
        *,
        causal: bool,
        scale: float,
        dtype: torch.dtype,
        wide: bool,
    ) -> None:
        if not wide and len(spec.layers) <= NUM_FIRST + NUM_LAST:
            ends = f"the first {NUM_FIRST} and the last {NUM_LAST} stay in full"
            raise UnsupportedError(f"{len(spec.layers)} layers, of which {ends}")
        self._spec, self._wide = spec, wide
        self._layers = TorchLayers(spec, causal=causal, scale=scale, dtype=dtype)
        batch = PackedBatch.from_sequences([*texts.measured, *texts.held_out])
        self._place = self._layers.place(batch)
        self._x = self._layers.embed(batch, embedding)
        self._num_measured = sum(len(text) for text in texts.measured)
        self._number = 0

    def quantise(self, layer: LayerWeights) -> LayerWeights:
        """Run the texts through the next layer in full, and give it in int8."""
        number, spec = self._number, self._spec
        passed = self._layers.step(TorchLayer(layer), self._x, number, self._place)
        self._x = passed.x
        self._number += 1
        if self._wide:
            return _all_quantised(layer)
        if not NUM_FIRST <= number < len(spec.layers) - NUM_LAST:
            return layer
        return _quantised(layer, *(self._peaks(x) for x in (passed.attended, passed.normed)))

    def _peaks(self, x: Tensor) -> Tensor:
        """Largest value of each channel over the texts that are measured."""
        return peaks(x[: self._num_measured], dim=0)

    def states(self, final_norm: Tensor) -> Tensor:
        """States [T, H] float32 of the texts held out, after all layers in full."""
        held_out = self._x[self._num_measured :]
        return F.rms_norm(held_out, held_out.shape[-1:], final_norm, self._spec.epsilon)


def _quantised(layer: LayerWeights, attended: Tensor, normed: Tensor) -> LayerWeights:
    """Give a layer in int8, smoothed for the largest values that enter its products: [A D] and [H]."""
    output_divisors = smoothing(attended, layer.output)
    output = Int8Matrix.of(layer.output * output_divisors)
    divisors = smoothing(normed, layer.gate, layer.up)
    gate, up = (Int8Matrix.of(part * divisors) for part in (layer.gate, layer.up))
    return replace(
        layer,
        output=output.values,
        feed_forward_norm=layer.feed_forward_norm / divisors,
        gate=gate.values,
        up=up.values,
        int8=Int8Scales(None, output.scales, 1 / output_divisors, gate.scales, up.scales, None),
    )


def _all_quantised(layer: LayerWeights) -> LayerWeights:
    """Give a layer with all its matrices in int8."""
    matrices = {name: Int8Matrix.of(getattr(layer, name)) for name in ("qkv", "output", "gate", "up", "down")}
    scales = {f"{name}_scales": matrix.scales for name, matrix in matrices.items()}
    values = {name: matrix.values for name, matrix in matrices.items()}
    factors = torch.ones(layer.output.shape[1])
    return replace(layer, **values, int8=Int8Scales(output_factors=factors, **scales))
