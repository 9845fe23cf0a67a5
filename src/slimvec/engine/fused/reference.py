"""The decoder in plain torch: the same mathematics as the kernels, for machines that have none, and to test them.

The residual stream is float32; products and attention run in the decoder's dtype. Legend: T tokens, A query heads,
K key-value heads, D width of a head, P tokens of the prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.engine.fused.int8 import int8_linear
from slimvec.engine.fused.keys_values import KeyValues
from slimvec.engine.fused.rope import Rope, RopeTables
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.engine.fused.weights import LayerWeights
from slimvec.model.attention import Packing, grouped_sdpa
from slimvec.text.batch import PackedBatch


class TorchLayers:
    """All layers, with one QKV and one gate-up matrix each.

    Args:
        spec: The decoder.
        causal: Attention mode.
        scale: Factor of the embeddings.
        dtype: Data type of the products.
    """

    def __init__(self, spec: DecoderSpec, *, causal: bool, scale: float, dtype: torch.dtype) -> None:
        self._spec, self._causal, self._scale, self._dtype = spec, causal, scale, dtype
        self._layers: list[TorchLayer] = []
        self._tables: dict[Rope, RopeTables] = {layer.rope: RopeTables(layer.rope) for layer in spec.layers}

    def add(self, layer: LayerWeights) -> None:
        """Take the next layer."""
        self._layers.append(TorchLayer(layer))

    def run(
        self,
        batch: PackedBatch,
        embedding: Tensor,
        final_norm: Tensor | None,
        past: KeyValues | None,
        *,
        return_kv: bool,
    ) -> tuple[Tensor, KeyValues | None]:
        """Run the layers: states [T, H] float32, and keys and values of the batch where asked for.

        Without a final norm the states are those that leave the last layer.
        """
        x, place = self.embed(batch, embedding), self.place(batch, past)
        kept: list[tuple[Tensor, Tensor]] = []
        for number, layer in enumerate(self._layers):
            prefix = (past.keys[number], past.values[number]) if past else None
            passed = self.step(layer, x, number, place, prefix)
            x = passed.x
            if return_kv:
                kept.append((passed.key, passed.value))
        states = x if final_norm is None else self._norm(x, final_norm)
        if not return_kv:
            return states, None
        keys, values = (torch.stack(parts) for parts in zip(*kept, strict=True))
        return states, KeyValues(keys, values)

    def embed(self, batch: PackedBatch, embedding: Tensor) -> Tensor:
        """Look the tokens up: what enters the first layer, [T, H] float32."""
        return F.embedding(batch.input_ids, embedding).float() * self._scale

    def place(self, batch: PackedBatch, past: KeyValues | None = None) -> "Place":
        """Work out where the tokens of a batch stand, behind a shared prefix if there is one."""
        start = past.length if past else 0
        positions = torch.cat([torch.arange(length) for length in batch.lengths]) + start
        return Place(Packing.of(batch, "causal" if self._causal else "bidirectional"), positions)

    def step(
        self, layer: "TorchLayer", x: Tensor, number: int, place: "Place", prefix: tuple[Tensor, Tensor] | None = None
    ) -> "Passed":
        """Take the residual stream [T, H] through one layer, the `number`th."""
        entered = self._norm(x, layer.input_norm)
        query, key, value = self._heads(layer, entered, number, place.positions)
        attended = self._attend(query, key, value, prefix, place.packing, self._spec.layers[number].window)
        x = x + self._normed(layer.output(attended), layer.attention_norm)
        normed = self._norm(x, layer.feed_forward_norm)
        gate, up = layer.gate_up(normed).float().chunk(2, dim=-1)
        activated = F.silu(gate) if self._spec.activation == "silu" else F.gelu(gate, approximate="tanh")
        hidden = (activated * up).to(self._dtype)
        x = x + self._normed(layer.down(hidden), layer.down_norm)
        return Passed(x, key, value, entered, attended, normed, hidden)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Norm the last axis: float32, which the product behind it rounds as it needs."""
        return F.rms_norm(x, x.shape[-1:], weight, self._spec.epsilon)

    def _normed(self, branch: Tensor, weight: Tensor | None) -> Tensor:
        """A branch's output as it is added to the residual stream: float32, normed where the model does so."""
        branch = branch.float()
        return branch if weight is None else F.rms_norm(branch, branch.shape[-1:], weight, self._spec.epsilon)

    def _heads(self, layer: "TorchLayer", x: Tensor, number: int, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [T, A, D], keys and values [T, K, D], normed and rotated, of normed states [T, H]."""
        spec = self._spec
        heads = layer.qkv(x).float().view(x.shape[0], -1, spec.head_dim)
        query, key, value = torch.split(heads, [spec.heads, spec.kv_heads, spec.kv_heads], dim=1)
        if layer.query_norm is not None and layer.key_norm is not None:
            query = F.rms_norm(query, (spec.head_dim,), layer.query_norm, spec.epsilon)
            key = F.rms_norm(key, (spec.head_dim,), layer.key_norm, spec.epsilon)
        tables = self._tables[spec.layers[number].rope].upto(int(positions.max()) + 1)
        cosine, sine = (table[positions][:, None] for table in tables)
        query, key = (_rotate(part, cosine, sine) for part in (query, key))
        return query.to(self._dtype), key.to(self._dtype), value.to(self._dtype)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        prefix: tuple[Tensor, Tensor] | None,
        packing: Packing,
        window: int | None,
    ) -> Tensor:
        """Attend within each text and to the prefix: [T, A D]."""
        heads = query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        scale = self._spec.score_scale
        if prefix is None:
            return grouped_sdpa(query, key, value, packing, scale=scale, window=window).flatten(1)
        before = [part.transpose(0, 1) for part in prefix]
        return _attend_to_prefix(heads, before, packing, scale=scale, window=window).flatten(1)


@dataclass(frozen=True, eq=False)
class Place:
    """Where tokens stand: which text holds them, and their positions [T]."""

    packing: Packing
    positions: Tensor


@dataclass(frozen=True, eq=False)
class Passed:
    """What a layer made of the residual stream, and on the way.

    Attributes:
        x: The residual stream behind it: [T, H] float32.
        key: [T, K, D].
        value: [T, K, D].
        entered: [T, H] float32; enters the QKV product.
        attended: [T, A D]; enters the output product.
        normed: [T, H] float32; enters the gate-up product.
        hidden: [T, F]; enters the down product.
    """

    x: Tensor
    key: Tensor
    value: Tensor
    entered: Tensor
    attended: Tensor
    normed: Tensor
    hidden: Tensor


class TorchLayer:
    """Weights of a layer, and its four products."""

    def __init__(self, weights: LayerWeights) -> None:
        self._qkv = _multiplied(weights.qkv), weights.qkv_bias
        self._output = _multiplied(weights.output), weights.output_bias
        self._down = _multiplied(weights.down), weights.down_bias
        biases = weights.gate_up_biases()
        self._gate_up = _multiplied(torch.cat([weights.gate, weights.up])), torch.cat(biases) if biases else None
        self._int8 = weights.int8
        self.input_norm, self.feed_forward_norm = weights.input_norm, weights.feed_forward_norm
        self.query_norm, self.key_norm = weights.query_norm, weights.key_norm
        self.attention_norm, self.down_norm = weights.attention_norm, weights.down_norm

    def qkv(self, x: Tensor) -> Tensor:
        """Project [T, H] to [T, (A + 2K) D]."""
        if self._int8 is None or self._int8.qkv_scales is None:
            return F.linear(x.to(self._qkv[0].dtype), *self._qkv)
        return int8_linear(x, self._int8.qkv_scales, *self._qkv)

    def output(self, x: Tensor) -> Tensor:
        """Project [T, A D] to [T, H]."""
        if self._int8 is None:
            return F.linear(x, *self._output)
        return int8_linear(x.float() * self._int8.output_factors, self._int8.output_scales, *self._output)

    def gate_up(self, x: Tensor) -> Tensor:
        """Project [T, H] to gates and ups, [T, 2F]."""
        if self._int8 is None:
            return F.linear(x.to(self._gate_up[0].dtype), *self._gate_up)
        return int8_linear(x, torch.cat([self._int8.gate_scales, self._int8.up_scales]), *self._gate_up)

    def down(self, x: Tensor) -> Tensor:
        """Project [T, F] to [T, H]."""
        if self._int8 is None or self._int8.down_scales is None:
            return F.linear(x, *self._down)
        return int8_linear(x.float(), self._int8.down_scales, *self._down)


def _multiplied(weight: Tensor) -> Tensor:
    """Give a matrix as plain torch multiplies it: int8 as whole numbers in float32."""
    return weight.float() if weight.dtype == torch.int8 else weight


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the halves (a, b) of each head [T, heads, D] into (a cos - b sin, b cos + a sin)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1)


def _attend_to_prefix(
    heads: Sequence[Tensor], before: Sequence[Tensor], packing: Packing, *, scale: float, window: int | None
) -> Tensor:
    """Attend causally, each text behind the prefix: heads [A or K, T, D], before [K, P, D] to [T, A, D]."""
    if packing.order is not None:
        heads = [part.index_select(1, packing.order) for part in heads]
    outputs = []
    for start, num_texts, length in packing.groups:
        query, *rest = (
            part[:, start : start + num_texts * length].reshape(-1, num_texts, length, part.shape[-1]).transpose(0, 1)
            for part in heads
        )
        key, value = (
            torch.cat([old.expand(num_texts, -1, -1, -1), new], dim=2) for old, new in zip(before, rest, strict=True)
        )
        num_before = before[0].shape[1]
        distance = torch.arange(num_before, num_before + length)[:, None] - torch.arange(num_before + length)
        mask = (distance >= 0) & (distance < (window or num_before + length))
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
        )
        outputs.append(out.transpose(1, 2).flatten(0, 1))
    packed = torch.cat(outputs)
    return packed if packing.inverse is None else packed.index_select(0, packing.inverse)
