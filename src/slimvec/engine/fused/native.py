"""The decoder on the compiled kernels: weights in packed panels, one call a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.engine.fused.keys_values import KeyValues
from slimvec.engine.fused.rope import Rope, RopeTables
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.engine.fused.weights import LayerWeights
from slimvec.text.batch import PackedBatch

_PANEL = 64  # columns of a packed panel; product.h says why


class NativeLayers:
    """All layers, packed for `torch.ops.slimvec.decode`.

    Args:
        spec: The decoder.
        causal: Attention mode.
        scale: Factor of the embeddings.
    """

    def __init__(self, spec: DecoderSpec, *, causal: bool, scale: float) -> None:
        self._spec = spec
        self._packed: list[list[Tensor | None]] = []
        self._tables: dict[Rope, RopeTables] = {layer.rope: RopeTables(layer.rope) for layer in spec.layers}
        self._windows = [layer.window or 0 for layer in spec.layers]
        gelu = spec.activation == "gelu_tanh"
        self._sizes = [spec.width, spec.heads, spec.kv_heads, spec.head_dim, spec.hidden, int(causal), int(gelu)]
        self._scales = [spec.epsilon, spec.score_scale, scale]

    def add(self, layer: LayerWeights) -> None:
        """Pack the next layer."""
        biases, int8 = layer.gate_up_biases(), layer.int8
        gate_up = interleave(layer.gate, layer.up)
        self._packed.append(
            [
                layer.input_norm.contiguous(),
                pack(layer.qkv),
                pad_to_panels(layer.qkv_bias),
                layer.query_norm,
                layer.key_norm,
                pack(layer.output),
                pad_to_panels(layer.output_bias),
                pad_to_panels(int8.output_scales if int8 else None),
                starts(layer.output) if int8 else None,
                int8.output_factors if int8 else None,
                layer.attention_norm,
                layer.feed_forward_norm,
                pack(gate_up),
                pad_to_panels(interleave(*biases) if biases else None),
                pad_to_panels(interleave(int8.gate_scales, int8.up_scales) if int8 else None),
                starts(gate_up) if int8 else None,
                pack(layer.down),
                pad_to_panels(layer.down_bias),
                layer.down_norm,
            ]
        )

    def run(
        self,
        batch: PackedBatch,
        embedding: Tensor,
        final_norm: Tensor | None,
        past: KeyValues | None,
        *,
        return_kv: bool,
    ) -> tuple[Tensor, KeyValues | None]:
        """Run the layers: states [T, H] float32, and keys and values of the batch where asked for."""
        positions = batch.max_seqlen + (past.length if past else 0)
        tensors: list[Tensor | None] = []
        for packed, layer in zip(self._packed, self._spec.layers, strict=True):
            tensors.extend(packed)
            tensors.extend(self._tables[layer.rope].upto(positions))
        states, keys, values = torch.ops.slimvec.decode(
            batch.input_ids,
            torch.tensor(batch.lengths),
            embedding,
            final_norm,
            tensors,
            self._windows,
            self._sizes,
            self._scales,
            past.keys if past else None,
            past.values if past else None,
            return_kv,
        )
        return states, KeyValues(keys, values) if return_kv else None


def pack(weight: Tensor) -> Tensor:
    """Pack a matrix [N, K] into panels [N / 64, K / pack, 64, pack], both rounded up.

    `pack` values make a word of 32 bits: 1 in float32, 2 in bfloat16, 4 in int8, where a depth that is no multiple of 4
    is filled with zeros.
    """
    per_word = 4 // weight.element_size()
    rows, depth = weight.shape
    missing = -depth % per_word, -rows % _PANEL
    padded = F.pad(weight, (0, missing[0], 0, missing[1])) if any(missing) else weight
    # A word is moved as one number: four times as fast as two of 16 bits.
    words = padded.contiguous().view(torch.int32).view(-1, _PANEL, padded.shape[1] // per_word)
    return words.transpose(1, 2).contiguous().view(weight.dtype).view(-1, words.shape[2], _PANEL, per_word)


def pad_to_panels(row: Tensor | None) -> Tensor | None:
    """Pad a bias or scales [N] to whole panels, in float32."""
    return None if row is None else F.pad(row.float(), (0, -row.shape[0] % _PANEL))


def starts(weight: Tensor) -> Tensor:
    """Give where the sums of an int8 matrix [N, K] start, int32 [N rounded up to 64]; int8.h says why."""
    sums = weight.sum(dim=1, dtype=torch.int32) * -128
    return F.pad(sums, (0, -sums.shape[0] % _PANEL))


def interleave(gate: Tensor, up: Tensor) -> Tensor:
    """Order rows so that each panel holds 32 gates and the 32 ups they multiply: [2 F rounded up to 64, ...]."""
    half = _PANEL // 2
    missing = -gate.shape[0] % half
    blocks = []
    for part in (gate, up):
        padded = F.pad(part, (0,) * (2 * part.dim() - 1) + (missing,)) if missing else part
        blocks.append(padded.reshape(-1, half, *part.shape[1:]))
    return torch.stack(blocks, dim=1).flatten(0, 2)
