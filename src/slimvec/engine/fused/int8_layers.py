"""Layers into int8 as they are read: a few texts are run through each in full, which shows what to smooth.

Where the kernels multiply activations of 8 bits, the feed-forward part's first product and the attention's last are
held in int8, in all layers but the first and the last few of a deep model: half of the multiply-adds of a small
decoder, and the half that bears it (docs/log.md has the others). Where they multiply activations of 16 bits (AVX2, the
oldest Arm), only the weights are rounded to speak of, and all four products of all layers are held in int8, without
smoothing. Biases make up for what rounding does to the mean (int8.py). One layer at a time is in memory in full, so
loading takes no more memory than the full model does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from slimvec.engine.fused.int8 import fine_rounding, peaks, quantise_product, smoothing
from slimvec.engine.fused.reference import Passed, TorchLayer, TorchLayers
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.engine.fused.weights import Int8Scales, LayerWeights
from slimvec.text.batch import PackedBatch


def num_full(layers: int) -> int:
    """Say how many layers at either end stay in full where activations have 8 bits: those where int8 errs most.

    What they err by grows on the way through the others, so a shallow model has none: of slimvec-en-small's four layers
    all are in int8, and no cosine of 200 texts is below .9998. docs/log.md has what other choices cost.
    """
    return min(2, layers // 8)


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
        corrected: Whether biases make up for rounding, and channels that vary most are rounded more finely.
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
        corrected: bool,
    ) -> None:
        self._spec, self._wide, self._corrected = spec, wide, corrected
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
        entered = _Entered.of(passed, self._num_measured, corrected=self._corrected)
        if self._wide:
            return _all_quantised(layer, entered)
        full = num_full(len(spec.layers))
        if not full <= number < len(spec.layers) - full:
            return layer
        smooth = smoothing(entered.output.peaks, layer.output), smoothing(entered.gate_up.peaks, layer.gate, layer.up)
        return _half_quantised(layer, entered, *smooth)

    def states(self) -> Tensor:
        """States [T, H] float32 of the texts held out, after all layers in full and before any norm."""
        return self._x[self._num_measured :]


@dataclass(frozen=True, eq=False)
class _Channels:
    """What each of the K channels that enter a product is like, over tokens: [K] float32 each.

    Attributes:
        peaks: Largest absolute value.
        means: Mean.
        deviations: Standard deviation.
    """

    peaks: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "_Channels":
        """Measure [T, K]; long tokens weigh no more than the median: a first one may be a thousand times as long."""
        x = x.float()
        lengths = x.square().sum(dim=1, keepdim=True)
        weights = (lengths.median() / lengths.clamp_min(1e-30)).clamp_max(1)
        weights = weights / weights.sum()
        means = (weights * x).sum(dim=0)
        return cls(peaks(x, dim=0), means, (weights * (x - means).square()).sum(dim=0).sqrt())

    def alike(self) -> "_Channels":
        """Give the same around zero and with equal deviations, for which nothing is corrected."""
        return replace(self, means=torch.zeros_like(self.means), deviations=torch.ones_like(self.deviations))


@dataclass(frozen=True, eq=False)
class _Entered:
    """What entered the products of a layer, each by its channels."""

    qkv: _Channels
    output: _Channels
    gate_up: _Channels
    down: _Channels

    @classmethod
    def of(cls, passed: Passed, count: int, *, corrected: bool) -> "_Entered":
        """Measure the first tokens of a batch that passed the layer; uncorrected, as if all were alike."""
        inputs = passed.entered, passed.attended, passed.normed, passed.hidden
        channels = (_Channels.of(x[:count]) for x in inputs)
        return cls(*(each if corrected else each.alike() for each in channels))


def _half_quantised(layer: LayerWeights, entered: _Entered, output_divisors: Tensor, divisors: Tensor) -> LayerWeights:
    """Give a layer with `output`, `gate` and `up` in int8, their inputs divided: [A D] and [H]."""
    output, output_bias = quantise_product(layer.output, layer.output_bias, output_divisors, entered.output.means)
    gate, gate_bias = quantise_product(layer.gate, layer.gate_bias, divisors, entered.gate_up.means)
    up, up_bias = quantise_product(layer.up, layer.up_bias, divisors, entered.gate_up.means)
    return replace(
        layer,
        output=output.values,
        output_bias=output_bias,
        feed_forward_norm=layer.feed_forward_norm / divisors,
        gate=gate.values,
        gate_bias=gate_bias,
        up=up.values,
        up_bias=up_bias,
        int8=Int8Scales(None, output.scales, 1 / output_divisors, gate.scales, up.scales, None),
    )


def _all_quantised(layer: LayerWeights, entered: _Entered) -> LayerWeights:
    """Give a layer with all its matrices in int8; what enters `down` is divided where it leaves `up`."""
    inputs = entered.qkv, entered.output, entered.gate_up, entered.down
    divisors, output_divisors, up_divisors, down_divisors = (fine_rounding(channels.deviations) for channels in inputs)
    half = _half_quantised(layer, entered, output_divisors, up_divisors)
    qkv, qkv_bias = quantise_product(layer.qkv, layer.qkv_bias, divisors, entered.qkv.means)
    down, down_bias = quantise_product(layer.down, layer.down_bias, down_divisors, entered.down.means)
    assert half.int8 is not None
    assert half.up_bias is not None
    return replace(
        half,
        input_norm=layer.input_norm / divisors,
        qkv=qkv.values,
        qkv_bias=qkv_bias,
        up_bias=half.up_bias / down_divisors,
        down=down.values,
        down_bias=down_bias,
        int8=replace(
            half.int8,
            qkv_scales=qkv.scales,
            up_scales=half.int8.up_scales / down_divisors,
            down_scales=down.scales,
        ),
    )
