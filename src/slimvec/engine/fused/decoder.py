"""`FusedDecoder`: the fastest way to run a small decoder, on compiled kernels or, recorded, in plain torch."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, Self, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.engine.fused.cache import FusedCache
from slimvec.engine.fused.errors import UnsupportedError
from slimvec.engine.fused.int8_layers import Int8Layers, Int8Texts
from slimvec.engine.fused.keys_values import KeyValues
from slimvec.engine.fused.lora import PlainLora
from slimvec.engine.fused.native import NativeLayers
from slimvec.engine.fused.reference import TorchLayers
from slimvec.engine.fused.spec import DecoderSpec, read_spec
from slimvec.engine.fused.weights import (
    WeightSource,
    lower_names,
    open_folder,
    read_final_norm,
    read_layers,
    upper_tensors,
)
from slimvec.engine.kernels.library import load_kernels
from slimvec.errors import ModelError
from slimvec.model.architectures import Config, read_config
from slimvec.text.batch import PackedBatch

Kernel = Literal["native", "torch"]
_DTYPES = (torch.float32, torch.bfloat16)


class FusedDecoder:
    """A decoder of the Llama, Mistral, Qwen2, Qwen3 or Gemma3 family on the CPU, for packed batches, without gradients.

    Build it with `from_folder` or `from_backbone`. Calling it from two threads at once is safe but not faster: one
    call uses all of torch's threads.

    Attributes:
        spec: Shapes and constants.
        causal: Attention mode.
        dtype: Data type of weights and products; of those that are not int8, where there are such.
        int8: Whether half of the products or more are int8; `int8_layers` says which.
        kernel: `native`, the compiled kernels, or `torch`, the same mathematics in plain torch.
        kernel_reason: Why the kernel is `torch`; empty when it is `native`.
        isa: Instruction set of the compiled kernels; empty in plain torch.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        source: WeightSource,
        embedding: Tensor,
        *,
        causal: bool,
        dtype: torch.dtype,
        kernel: str,
        int8: Int8Texts | None = None,
        final_norm: bool = True,
    ) -> None:
        self.spec, self.causal, self.dtype, self.int8 = spec, causal, dtype, int8 is not None
        self.kernel, self.kernel_reason = _choose_kernel(kernel, dtype, int8=self.int8)
        self.isa = ""
        self._embedding = embedding
        self._final_norm = read_final_norm(source, spec) if final_norm else None
        # Gemma rounds the factor to the weights' dtype, and its states are trained with that.
        scale = torch.tensor(spec.width**0.5, dtype=dtype).item() if spec.scale_embedding else 1.0
        if int8 is None:
            self._layers = self._packed(source, scale)
            return
        try:
            self._quantise(source, scale, int8, corrected=True)
        except ModelError:  # too far from the full model; plain rounding is nearer in some (docs/log.md)
            self._quantise(source, scale, int8, corrected=False)

    def _empty(self, scale: float) -> NativeLayers | TorchLayers:
        """Make room for the layers."""
        if self.kernel == "torch":
            return TorchLayers(self.spec, causal=self.causal, scale=scale, dtype=self.dtype)
        kernels = load_kernels()
        self.isa = kernels.isa
        return NativeLayers(self.spec, causal=self.causal, scale=scale, dtype=self.dtype, kernels=kernels)

    def _packed(self, source: WeightSource, scale: float) -> NativeLayers | TorchLayers:
        """Take the layers in full."""
        layers = self._empty(scale)
        for layer in read_layers(source, self.spec, self.dtype):
            layers.add(layer)
        return layers

    def _quantise(self, source: WeightSource, scale: float, texts: Int8Texts, *, corrected: bool) -> None:
        """Take the layers in int8, and check them."""
        target = load_kernels().target
        full = Int8Layers(
            self.spec,
            texts,
            self._embedding,
            causal=self.causal,
            scale=scale,
            dtype=self.dtype,
            wide=target is not None and target.packing.int8_bits == 16,
            corrected=corrected,
        )
        self._layers = self._empty(scale)
        for layer in read_layers(source, self.spec, self.dtype):
            self._layers.add(full.quantise(layer))
        expected, found = full.states(), self(PackedBatch.from_sequences(texts.held_out))
        norm = partial(F.rms_norm, normalized_shape=[self.spec.width], eps=self.spec.epsilon)
        if self._final_norm is not None:
            texts.check(norm(expected, weight=self._final_norm), found)
        else:  # a few channels are as large as all the others together, until a norm
            texts.check(norm(expected), norm(found))

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        causal: bool,
        dtype: torch.dtype = torch.bfloat16,
        kernel: Literal["auto", "native", "torch"] = "auto",
        int8: Int8Texts | None = None,
        config: Config | None = None,
        source: WeightSource | None = None,
        lora: PlainLora | None = None,
    ) -> Self:
        """Build from `config.json` and safetensors, without transformers and without holding weights twice.

        Args:
            folder: A model folder.
            causal: Attention mode; the caller has read it from the config and guards it.
            dtype: bfloat16 or float32.
            kernel: `auto` takes the compiled kernels where they serve the dtype on this machine.
            int8: Run half of the products or more in int8, calibrated on these texts.
            config: Its settings where they shall differ from `config.json`.
            source: Its weights, where they have been opened and checked already.
            lora: Folded into the weights.

        Raises:
            UnsupportedError: the model has something the fused decoder does not do, or `native` is not to be had.
            ModelError: the files cannot be read, or hold numbers that are NaN or infinite.
        """
        folder = Path(folder)
        spec = read_spec(read_config(folder) if config is None else config)
        source = source or open_folder(folder, check=True)
        # Two maps of the same file: the layers' is dropped once they are packed, the embedding's stays. What lies in
        # memory tensor by tensor (an old pickle) needs no second reading for that.
        table = open_folder(folder) if source.mapped else source
        if lora is not None:
            source, table = lora.folded(source, dtype), lora.folded(table, dtype)
        return cls(spec, source, table.embedding(spec, dtype), causal=causal, dtype=dtype, kernel=kernel, int8=int8)

    @classmethod
    def from_backbone(
        cls,
        hf_model: torch.nn.Module,
        *,
        causal: bool,
        dtype: torch.dtype = torch.bfloat16,
        kernel: Literal["auto", "native", "torch"] = "auto",
        int8: Int8Texts | None = None,
    ) -> Self:
        """Build from a transformers model in memory, which can be freed afterwards; only its embedding is shared.

        Args:
            hf_model: A bare model (`AutoModel`) or one with a language-model head.
            causal: See `from_folder`.
            dtype: See `from_folder`.
            kernel: See `from_folder`.
            int8: See `from_folder`.

        Raises:
            UnsupportedError: see `from_folder`.
        """
        spec = read_spec(hf_model.config.to_dict())  # type: ignore[operator, union-attr]
        tensors = hf_model.state_dict()
        source = WeightSource(tensors, tensors.__getitem__)
        embedding = source.embedding(spec, dtype)
        return cls(spec, source, embedding, causal=causal, dtype=dtype, kernel=kernel, int8=int8)

    @classmethod
    def below(
        cls,
        hf_model: torch.nn.Module,
        number: int,
        *,
        causal: bool,
        dtype: torch.dtype,
        int8: Int8Texts | None = None,
    ) -> Self:
        """Build from the first layers of a transformers model: its states are what leaves them, without a norm.

        Args:
            hf_model: As for `from_backbone`; layers above may have an adapter.
            number: How many layers.
            causal: See `from_folder`.
            dtype: See `from_folder`.
            int8: See `from_folder`; what is checked is what leaves the layers, with a plain norm.

        Raises:
            UnsupportedError: see `from_folder`.
            ModelError: the check of `int8` failed.
        """
        spec = read_spec(hf_model.config.to_dict())  # type: ignore[operator, union-attr]
        spec = replace(spec, layers=spec.layers[:number])
        # PEFT puts its own names in front of the model's.
        tensors = {name.removeprefix("base_model.model."): tensor for name, tensor in hf_model.state_dict().items()}
        source = WeightSource(lower_names(tensors, number), tensors.__getitem__)
        embedding = source.embedding(spec, dtype)
        return cls(spec, source, embedding, causal=causal, dtype=dtype, kernel="auto", int8=int8, final_norm=False)

    @classmethod
    def above(cls, hf_model: torch.nn.Module, number: int, *, causal: bool, dtype: torch.dtype) -> Self:
        """Build from the layers above the first ones, and the final norm: for `from_states`, not for tokens.

        Args:
            hf_model: As for `from_backbone`, without an adapter.
            number: How many layers are left out, fewer than there are.
            causal: See `from_folder`.
            dtype: See `from_folder`.

        Raises:
            UnsupportedError: see `from_folder`.
        """
        spec = read_spec(hf_model.config.to_dict())  # type: ignore[operator, union-attr]
        spec = replace(spec, layers=spec.layers[number:], scale_embedding=False)
        tensors = upper_tensors(hf_model.state_dict(), number)
        source = WeightSource(tensors, tensors.__getitem__)
        return cls(spec, source, source.embedding(spec, dtype), causal=causal, dtype=dtype, kernel="auto")

    @property
    def width(self) -> int:
        """H, width of a state."""
        return self.spec.width

    @property
    def embedding(self) -> Tensor:
        """Embedding [V, H] of the tokens, in the dtype in which it is stored."""
        return self._embedding

    def open_cache(self) -> FusedCache:
        """Begin a text that can go on. Causal models only."""
        return FusedCache(self)

    @overload
    def forward(
        self, batch: PackedBatch, past: KeyValues | None = None, *, return_kv: Literal[False] = False
    ) -> Tensor: ...

    @overload
    def forward(
        self, batch: PackedBatch, past: KeyValues | None = None, *, return_kv: Literal[True]
    ) -> tuple[Tensor, KeyValues]: ...

    def forward(
        self, batch: PackedBatch, past: KeyValues | None = None, *, return_kv: bool = False
    ) -> Tensor | tuple[Tensor, KeyValues]:
        """Run the decoder.

        Args:
            batch: T tokens on the CPU.
            past: Keys and values of P tokens that stand before every text of the batch: a shared instruction, or
                what an open text has so far. Positions go on behind it. Causal models only.
            return_kv: Give the keys and values of the batch's own tokens too.

        Returns:
            States [T, H] float32 after the final norm; with `return_kv` also keys and values of T tokens.

        Raises:
            ValueError: `past` with a bidirectional model, whose earlier tokens would have to see the later ones.
        """
        if past is not None and not self.causal:
            raise ValueError("a bidirectional decoder has no past: its tokens see what comes after them")
        past = past if past is not None and past.length else None
        with torch.inference_mode():
            states, kept = self._layers.run(batch, self._embedding, self._final_norm, past, return_kv=return_kv)
        return states if kept is None else (states, kept)

    def from_states(self, batch: PackedBatch, states: Tensor) -> Tensor:
        """Run a decoder made by `above` on the states that leave the layers below it.

        Args:
            batch: Its lengths count; its tokens do not.
            states: [T, H], in the order of the batch.

        Returns:
            States [T, H] float32 after the final norm.
        """
        rows = replace(batch, input_ids=torch.arange(batch.num_tokens))  # each token looks its own state up
        with torch.inference_mode():
            return self._layers.run(rows, states.contiguous(), self._final_norm, None, return_kv=False)[0]

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] float32 of a batch, as any backbone does."""
        return self.forward(batch)


def _choose_kernel(wanted: str, dtype: torch.dtype, *, int8: bool) -> tuple[Kernel, str]:
    if dtype not in _DTYPES:
        raise UnsupportedError(f"dtype {dtype}")
    if wanted == "torch":
        return "torch", "asked for"
    kernels = load_kernels()
    needed = {dtype, torch.int8} if int8 else {dtype}
    if needed <= {*kernels.dtypes}:
        return "native", ""
    if wanted == "native":
        raise UnsupportedError(f"no native kernel in {torch.int8 if int8 else dtype}: {kernels.reason}")
    return "torch", kernels.reason
