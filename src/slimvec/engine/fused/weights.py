"""Weights of a decoder, layer by layer, from a folder of safetensors or from a model in memory.

A folder is read through memory maps, one layer at a time, and never held twice. The embedding keeps the dtype and the
memory it has in the file: only the rows of tokens that occur are ever read.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from slimvec.engine.fused.errors import UnsupportedError
from slimvec.engine.fused.spec import DecoderSpec
from slimvec.model.depth import layer_of, names_below
from slimvec.model.weight_files import WeightFiles, is_passed_over

_EMBEDDING = "embed_tokens.weight"
_FINAL_NORM = "norm.weight"
_PREFIXES = ("", "model.")
"""In front of the names of a bare model and of one with a head."""
_DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Int8Scales:
    """What belongs to the matrices of a layer that are held in int8; all float32.

    Attributes:
        qkv_scales: [(A + 2K) D]; row of `qkv` = int8 row x scale. None where `qkv` is in full.
        output_scales: [H].
        output_factors: [A D]; what enters the product is multiplied with these first.
        gate_scales: [F]. What enters is scaled by the norm in front of it.
        up_scales: [F].
        down_scales: [H]; None where `down` is in full.
    """

    qkv_scales: Tensor | None
    output_scales: Tensor
    output_factors: Tensor
    gate_scales: Tensor
    up_scales: Tensor
    down_scales: Tensor | None


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Weights of one layer. Matrices [out, in] and biases in the decoder's dtype; norms float32, offset applied.

    Where `int8` is given, `output`, `gate` and `up` are int8, and `qkv` and `down` where it has their scales.

    Attributes:
        input_norm: [H].
        qkv: [(A + 2K) D, H].
        qkv_bias: [(A + 2K) D] or None.
        query_norm: [D] or None.
        key_norm: [D] or None.
        output: [H, A D].
        output_bias: [H] or None.
        attention_norm: [H] or None; norm of the attention branch's output.
        feed_forward_norm: [H].
        gate: [F, H].
        gate_bias: [F] or None.
        up: [F, H].
        up_bias: [F] or None.
        down: [H, F].
        down_bias: [H] or None.
        down_norm: [H] or None; norm of the feed-forward branch's output.
        int8: Scales of the matrices in int8; None where none is.
    """

    input_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    output: Tensor
    output_bias: Tensor | None
    attention_norm: Tensor | None
    feed_forward_norm: Tensor
    gate: Tensor
    gate_bias: Tensor | None
    up: Tensor
    up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None
    down_norm: Tensor | None
    int8: Int8Scales | None = None

    def gate_up_biases(self) -> tuple[Tensor, Tensor] | None:
        """Both biases [F], zero where one is missing; None where both are."""
        given = [bias for bias in (self.gate_bias, self.up_bias) if bias is not None]
        if not given:
            return None
        zeros = torch.zeros_like(given[0])
        return (
            zeros if self.gate_bias is None else self.gate_bias,
            zeros if self.up_bias is None else self.up_bias,
        )


class WeightSource:
    """Tensors by name, with the prefix of a model with a head or without.

    Args:
        names: Names as stored.
        read: Gives the tensor of a stored name.
        mapped: As below.

    Attributes:
        names: Names without the prefix.
        mapped: Whether its tensors share a map of the file, which stays as long as one of them does.
    """

    def __init__(self, names: Collection[str], read: Callable[[str], Tensor], *, mapped: bool = True) -> None:
        stems = [name.removesuffix(_EMBEDDING) for name in names if name.endswith(_EMBEDDING)]
        if len(stems) != 1:
            raise UnsupportedError(f"{len(stems)} embeddings among the weights")
        if stems[0] not in _PREFIXES:
            raise UnsupportedError(f"the weights have names that begin with {stems[0]!r}")
        self._prefix = stems[0]
        self._left = {name for name in names if not is_passed_over(name)}
        self.names = frozenset(name.removeprefix(self._prefix) for name in names)
        self._stored, self._read, self.mapped = names, read, mapped

    def read(self, name: str) -> Tensor:
        """Read a tensor as it is stored.

        Raises:
            KeyError: there is none.
        """
        return self._read(self._prefix + name)

    def changed(self, change: Callable[[str, Tensor], Tensor]) -> "WeightSource":
        """Give the same tensors changed, each when it is read.

        Args:
            change: Given a name without the prefix and the tensor.
        """
        start = len(self._prefix)
        return WeightSource(self._stored, lambda stored: change(stored[start:], self._read(stored)), mapped=self.mapped)

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        """Read a tensor and check its shape; cast where a dtype is asked for.

        Raises:
            UnsupportedError: there is none, or it has another shape.
        """
        stored = self._prefix + name
        if stored not in self._stored:
            raise UnsupportedError(f"the weights have no {stored}")
        self._left.discard(stored)
        tensor = self._read(stored).detach()
        if tuple(tensor.shape) != shape:
            raise UnsupportedError(f"{stored} is {tuple(tensor.shape)}, expected {shape}")
        return tensor if dtype is None else tensor.to(dtype)

    def embedding(self, spec: DecoderSpec, dtype: torch.dtype) -> Tensor:
        """Read the embedding [V, H], as it is stored where that is float32 or bfloat16, else cast."""
        table = self.get(_EMBEDDING, (spec.vocabulary, spec.width))
        return table if table.dtype in _DTYPES else table.to(dtype)

    def check_all_read(self) -> None:
        """Refuse weights that nobody asked for: they belong to a model that does more.

        Raises:
            UnsupportedError: there are some.
        """
        self._left.discard(self._prefix + _EMBEDDING)
        if self._left:
            raise UnsupportedError(f"there are weights that are not known, such as {min(self._left)}")


def lower_names(names: Collection[str], number: int) -> list[str]:
    """Choose the names of the embedding and of the first layers."""
    return [name for name in names_below(names, number) if name.endswith(_EMBEDDING) or layer_of(name) is not None]


def upper_tensors(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """Take the first layers away and number the others anew, from 0; the embedding and the final norm stay."""
    kept = {}
    for name, tensor in tensors.items():
        before, mark, rest = name.partition("layers.")
        layer, dot, after = rest.partition(".")
        if not mark:
            kept[name] = tensor
        elif int(layer) >= number:
            kept[f"{before}{mark}{int(layer) - number}{dot}{after}"] = tensor
    return kept


def read_layers(source: WeightSource, spec: DecoderSpec, dtype: torch.dtype) -> Iterator[LayerWeights]:
    """Read the layers, one at a time.

    Raises:
        UnsupportedError: weights are missing, too many, or of another shape.
    """
    for number in range(len(spec.layers)):
        yield _read_layer(source, spec, f"layers.{number}.", dtype)
    source.check_all_read()


def read_final_norm(source: WeightSource, spec: DecoderSpec) -> Tensor:
    """Read the norm after the last layer: [H] float32."""
    return source.get(_FINAL_NORM, (spec.width,), torch.float32) + spec.norm_offset


def _read_layer(source: WeightSource, spec: DecoderSpec, prefix: str, dtype: torch.dtype) -> LayerWeights:
    h, f, d = spec.width, spec.hidden, spec.head_dim
    heads = {"q": spec.heads * d, "k": spec.kv_heads * d, "v": spec.kv_heads * d}

    def norm(name: str, size: int = h) -> Tensor:
        return source.get(f"{prefix}{name}.weight", (size,), torch.float32) + spec.norm_offset

    def linear(name: str, rows: int, columns: int, *, biased: bool) -> tuple[Tensor, Tensor | None]:
        stem = prefix + name
        weight = source.get(f"{stem}.weight", (rows, columns), dtype)
        return weight, source.get(f"{stem}.bias", (rows,), dtype) if biased else None

    inputs, outputs, inner = (part in spec.biases for part in ("qkv", "output", "feed_forward"))
    projections = [linear(f"self_attn.{name}_proj", rows, h, biased=inputs) for name, rows in heads.items()]
    biases = [bias for _, bias in projections if bias is not None]
    output, output_bias = linear("self_attn.o_proj", h, heads["q"], biased=outputs)
    gate, gate_bias = linear("mlp.gate_proj", f, h, biased=inner)
    up, up_bias = linear("mlp.up_proj", f, h, biased=inner)
    down, down_bias = linear("mlp.down_proj", h, f, biased=inner)
    branches = spec.branch_norms
    return LayerWeights(
        input_norm=norm("input_layernorm"),
        qkv=torch.cat([weight for weight, _ in projections]),
        qkv_bias=torch.cat(biases) if biases else None,
        query_norm=norm("self_attn.q_norm", d) if spec.head_norms else None,
        key_norm=norm("self_attn.k_norm", d) if spec.head_norms else None,
        output=output,
        output_bias=output_bias,
        attention_norm=norm("post_attention_layernorm") if branches else None,
        feed_forward_norm=norm("pre_feedforward_layernorm" if branches else "post_attention_layernorm"),
        gate=gate,
        gate_bias=gate_bias,
        up=up,
        up_bias=up_bias,
        down=down,
        down_bias=down_bias,
        down_norm=norm("post_feedforward_layernorm") if branches else None,
    )


def open_folder(folder: Path, *, check: bool = False, num_layers: int | None = None) -> WeightSource:
    """Map a folder's weights; nothing is read yet. Memory is given back when the source is dropped.

    Args:
        folder: Holds them.
        check: Look for numbers that are NaN or infinite first.
        num_layers: Leave out the layers above the first so many; default none.

    Raises:
        ModelError: no weights, files that cannot be read, or such numbers.
    """
    files = WeightFiles(folder)
    if check:
        files.check_finite()
    names = files.names if num_layers is None else names_below(files.names, num_layers)
    return WeightSource(names, files.read, mapped=files.mapped)
