"""The decoder on the compiled kernels: weights in packed panels, one call a batch."""

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.engine.fused.keys_values import KeyValues
from slimvec.engine.fused.rope import Rope, RopeTables
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.engine.fused.weights import LayerWeights
from slimvec.engine.kernels.interface import (
    DTYPES,
    SLOTS,
    BatchOf,
    ModelOf,
    ShapeOf,
    TensorAt,
    integers,
    place,
    place_layers,
)
from slimvec.engine.kernels.library import Kernels, Packing
from slimvec.engine.kernels.running import run_kernel
from slimvec.text.batch import PackedBatch

_COSINE = SLOTS.index("cosine")


class NativeLayers:
    """All layers, packed for one instruction set.

    Args:
        spec: The decoder.
        causal: Attention mode.
        scale: Factor of the embeddings.
        dtype: Data type of the products that are not int8, and of keys and values.
        kernels: What runs them.
    """

    def __init__(self, spec: DecoderSpec, *, causal: bool, scale: float, dtype: torch.dtype, kernels: Kernels) -> None:
        if kernels.target is None:
            raise ValueError(f"there are no kernels: {kernels.reason}")
        self._spec, self._kernels, self._packing = spec, kernels, kernels.target.packing
        self._dtype = dtype
        self._packed: list[tuple[Tensor | None, ...]] = []
        self._tables: dict[Rope, RopeTables] = {layer.rope: RopeTables(layer.rope) for layer in spec.layers}
        self._positions = 0
        self._slots = (TensorAt * (len(spec.layers) * len(SLOTS)))()
        self._windows = (ctypes.c_int64 * len(spec.layers))(*(layer.window or 0 for layer in spec.layers))
        gelu = spec.activation == "gelu_tanh"
        sizes = spec.width, spec.heads, spec.kv_heads, spec.head_dim, spec.hidden
        self._shape = ShapeOf(*sizes, spec.epsilon, spec.score_scale, scale, causal, gelu)

    def add(self, layer: LayerWeights) -> None:
        """Pack the next layer.

        Raises:
            RuntimeError: a tensor that no kernel can read.
        """
        biases, int8, panel = layer.gate_up_biases(), layer.int8, self._packing.panel
        gate_up = interleave(layer.gate, layer.up, panel)
        packed = {
            "input_norm": layer.input_norm.contiguous(),
            "qkv": self._pack(layer.qkv),
            "qkv_bias": pad_to_panels(layer.qkv_bias, panel),
            "qkv_scales": pad_to_panels(int8.qkv_scales if int8 else None, panel),
            "qkv_starts": self._starts(layer.qkv),
            "query_norm": layer.query_norm,
            "key_norm": layer.key_norm,
            "output": self._pack(layer.output),
            "output_bias": pad_to_panels(layer.output_bias, panel),
            "output_scales": pad_to_panels(int8.output_scales if int8 else None, panel),
            "output_starts": self._starts(layer.output),
            "output_factors": int8.output_factors if int8 else None,
            "attention_norm": layer.attention_norm,
            "feed_forward_norm": layer.feed_forward_norm,
            "gate_up": self._pack(gate_up),
            "gate_up_bias": pad_to_panels(interleave(*biases, panel) if biases else None, panel),
            "gate_up_scales": pad_to_panels(
                interleave(int8.gate_scales, int8.up_scales, panel) if int8 else None, panel
            ),
            "gate_up_starts": self._starts(gate_up),
            "down": self._pack(layer.down),
            "down_bias": pad_to_panels(layer.down_bias, panel),
            "down_scales": pad_to_panels(int8.down_scales if int8 else None, panel),
            "down_starts": self._starts(layer.down),
            "down_norm": layer.down_norm,
        }
        first = len(self._packed) * len(SLOTS)
        for number, (name, tensor) in enumerate(packed.items()):
            self._slots[first + number] = place(tensor, name)
        self._packed.append(tuple(packed.values()))  # the slots hold addresses only

    def _pack(self, weight: Tensor) -> Tensor:
        if self._packing.halves and weight.dtype == torch.float32 and _fits_bfloat16(weight):
            return pack_halves(weight, self._packing.panel)
        return pack(weight, self._packing)

    def _starts(self, weight: Tensor) -> Tensor | None:
        return starts(weight, self._packing) if weight.dtype == torch.int8 else None

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

        Raises:
            RuntimeError: tensors that do not fit, which says how.
        """
        self._place_tables(batch.max_seqlen + (past.length if past else 0))
        lengths = torch.tensor(batch.lengths)
        states = torch.empty(batch.num_tokens, self._spec.width)
        kept = self._room(batch.num_tokens) if return_kv else None
        model = ModelOf(
            self._shape,
            DTYPES[self._dtype],
            place(embedding, "embedding"),
            place(final_norm, "final_norm"),
            len(self._packed),
            len(self._packed) * len(SLOTS),
            self._slots,
            self._windows,
        )
        what = BatchOf(
            num_tokens=batch.num_tokens,
            num_texts=lengths.shape[0],
            tokens=integers(batch.input_ids, "tokens"),
            lengths=integers(lengths, "lengths"),
            states=states.data_ptr(),
            keys=kept.keys.data_ptr() if kept else None,
            values=kept.values.data_ptr() if kept else None,
        )
        if past is not None:
            what.prefix_keys = place_layers(past.keys, "prefix_keys")
            what.prefix_values = place_layers(past.values, "prefix_values")
            what.prefix_key_stride, what.prefix_value_stride = past.keys.stride(0), past.values.stride(0)
        keep = self, embedding, final_norm, batch, lengths, past, states, kept
        run_kernel(self._kernels, model, what, self._work(batch.num_tokens), keep)
        return states, kept

    def _room(self, num_tokens: int) -> KeyValues:
        """Make room for the keys and values of a batch."""
        spec = self._spec
        sizes = len(spec.layers), num_tokens, spec.kv_heads, spec.head_dim
        return KeyValues(torch.empty(sizes, dtype=self._dtype), torch.empty(sizes, dtype=self._dtype))

    def _work(self, num_tokens: int) -> float:
        """Multiply-adds of a batch, about."""
        spec = self._spec
        attended = spec.heads * spec.head_dim
        each = spec.width * (2 * attended + 2 * spec.kv_heads * spec.head_dim + 3 * spec.hidden)
        return float(num_tokens) * each * len(spec.layers)

    def _place_tables(self, positions: int) -> None:
        """Say where cosines and sines lie, which moves when they grow."""
        if positions <= self._positions:
            return
        rows = []
        for number, layer in enumerate(self._spec.layers):
            cosine, sine = self._tables[layer.rope].upto(positions)
            first = number * len(SLOTS) + _COSINE
            self._slots[first], self._slots[first + 1] = place(cosine, "cosine"), place(sine, "sine")
            rows.append(cosine.shape[0])
        self._positions = min(rows)


def pack(weight: Tensor, packing: Packing) -> Tensor:
    """Pack a matrix [N, K] into panels [N / panel, K / pack, panel, pack], both rounded up.

    `pack` values lie side by side: 1 in float32, 2 in bfloat16, in int8 as the target wants; a depth that is no
    multiple of it is filled with zeros.
    """
    per_word = packing.int8_pack if weight.dtype == torch.int8 else 4 // weight.element_size()
    rows, depth = weight.shape
    missing = -depth % per_word, -rows % packing.panel
    padded = F.pad(weight, (0, missing[0], 0, missing[1])) if any(missing) else weight
    # A word is moved as one number: four times as fast as two of 16 bits.
    word = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[per_word * weight.element_size()]
    words = padded.contiguous().view(word).view(-1, packing.panel, padded.shape[1] // per_word)
    return words.transpose(1, 2).contiguous().view(weight.dtype).view(-1, words.shape[2], packing.panel, per_word)


def pack_halves(weight: Tensor, panel: int) -> Tensor:
    """Pack a float32 matrix [N, K] that bfloat16 can hold: [N / panel, K, panel / 2, 2]; product.h says how."""
    missing = -weight.shape[0] % panel
    padded = F.pad(weight, (0, 0, 0, missing)) if missing else weight
    halves = padded.bfloat16().view(-1, 2, panel // 2, weight.shape[1])
    return halves.permute(0, 3, 2, 1).contiguous()


def _fits_bfloat16(weight: Tensor) -> bool:
    """Whether no value is rounded in bfloat16, as in a model that is stored in it."""
    return not bool((weight.contiguous().view(torch.int32) & 0xFFFF).any())


def pad_to_panels(row: Tensor | None, panel: int) -> Tensor | None:
    """Pad a bias or scales [N] to whole panels, in float32."""
    return None if row is None else F.pad(row.float(), (0, -row.shape[0] % panel))


def starts(weight: Tensor, packing: Packing) -> Tensor:
    """Give where the sums of an int8 matrix [N, K] start, int32 [N rounded up to panels]; int8.h says why."""
    sums = weight.sum(dim=1, dtype=torch.int32) * -packing.int8_offset
    return F.pad(sums, (0, -sums.shape[0] % packing.panel))


def interleave(gate: Tensor, up: Tensor, panel: int) -> Tensor:
    """Order rows so that each panel holds gates and the ups they multiply: [2 F rounded up to panels, ...]."""
    half = panel // 2
    missing = -gate.shape[0] % half
    blocks = []
    for part in (gate, up):
        padded = F.pad(part, (0,) * (2 * part.dim() - 1) + (missing,)) if missing else part
        blocks.append(padded.reshape(-1, half, *part.shape[1:]))
    return torch.stack(blocks, dim=1).flatten(0, 2)
