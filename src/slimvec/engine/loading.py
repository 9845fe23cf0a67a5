"""Which engine runs a model: the fused decoder where it can, transformers where it cannot, and why."""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from slimvec.engine.fused import FusedDecoder, UnsupportedError
from slimvec.engine.fused.int8 import int8_slowness
from slimvec.engine.fused.lora import read_plain_lora
from slimvec.engine.fused.weights import open_folder
from slimvec.engine.int8_texts import int8_texts
from slimvec.engine.kernels.library import load_kernels
from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import is_decoder
from slimvec.model.copy_check import check_copy
from slimvec.model.dtypes import slowness
from slimvec.model.guard import check_attention_mode
from slimvec.model.identity import same_backbone
from slimvec.model.opening import OpenedModel
from slimvec.model.protocols import Backbone

EngineName = Literal["auto", "fused", "transformers"]


@dataclass(frozen=True, eq=False)
class LoadedEngine:
    """A backbone ready to run.

    Attributes:
        backbone: Packed batch to states.
        name: `fused/native`, `fused/torch` or `transformers/` and its attention kernel.
        reason: Why nothing faster was taken; empty when this is the fastest there is.
        device: Where it runs.
        dtype: Data type of its weights; int8 when the larger half of them is.
        warmup_seconds: What compiling it took, first runs included; 0 when it was not compiled.
        slowness: By what factor the dtype that was asked for is slow here; empty where it is not.
        isa: Instruction set of slimvec's kernels that runs it; empty when none does.
    """

    backbone: Backbone
    name: str
    reason: str
    device: torch.device
    dtype: torch.dtype
    warmup_seconds: float = 0.0
    slowness: str = ""
    isa: str = ""


def load_engine(
    opened: OpenedModel,
    *,
    dtype: torch.dtype | None,
    device: torch.device,
    engine: EngineName,
    compiled: bool = False,
) -> LoadedEngine:
    """Load the weights of a model into an engine, and guard its attention mode.

    Args:
        opened: The model.
        dtype: Data type of the weights in memory; default the model's own choice. int8 is for the fused decoder; where
            no kernel multiplies in 8 bits it is done without one, and `slowness` says how slow that is.
        device: Where to run.
        engine: `auto` takes the fused decoder where it serves model and device.
        compiled: Put the transformers path under `torch.compile`.

    Raises:
        InputError: int8 was asked for and cannot be had; compiling was, and the fused decoder runs the model or
            attention is calibrated.
        ModelError: `fused` was asked for and cannot be had, the weights do not attend as the files say, or vectors in
            int8 are too far from those in full.
    """
    asked, dtype = dtype, dtype or opened.default_dtype(device)
    reason = "engine='transformers' was asked for" if engine == "transformers" else why_not_fused(opened, device)
    if not reason:
        try:
            decoder = _fused(opened, dtype)
        except UnsupportedError as error:
            reason = error.reason
        else:
            _refuse_compiling(compiled)
            check_attention_mode(decoder, opened.spec.attention, vocabulary=opened.vocabulary)
            check_copy(opened, decoder, engine=f"fused/{decoder.kernel}", dtype=dtype)
            slow = _slowness(dtype, device) if asked and decoder.kernel == "torch" else ""
            name, why = f"fused/{decoder.kernel}", decoder.kernel_reason
            return LoadedEngine(decoder, name, why, device, dtype, slowness=slow, isa=decoder.isa)
    if dtype == torch.int8:
        raise InputError(
            f"dtype int8 for {opened.folder}: {reason}",
            expected="a decoder that engine='fused' runs",
            do="load it with dtype='auto'",
        )
    if engine == "fused":
        raise ModelError(f"the fused decoder does not run {opened.folder}: {reason}", do="leave engine at auto")
    loaded = _transformers(opened, dtype, device, reason, compiled=compiled)
    return replace(loaded, slowness=slowness(dtype, device)) if asked else loaded


def load_engines(
    opened: OpenedModel,
    *,
    dtype: torch.dtype | None,
    device: torch.device,
    engine: EngineName,
    compiled: bool = False,
) -> list[LoadedEngine]:
    """Load what documents run through, and after it what queries do in a model that has another route for them.

    Both are one engine where the routes have the same transformer. Arguments and errors as for `load_engine`.
    """
    documents = load_engine(opened, dtype=dtype, device=device, engine=engine, compiled=compiled)
    queries = opened.queries
    if queries is None:
        return [documents]
    if not same_backbone(opened, queries):
        return [documents, load_engine(queries, dtype=dtype, device=device, engine=engine, compiled=compiled)]
    check_copy(queries, documents.backbone, engine=documents.name, dtype=documents.dtype)
    return [documents, documents]


def _slowness(dtype: torch.dtype, device: torch.device) -> str:
    return int8_slowness() if dtype == torch.int8 else slowness(dtype, device)


def _refuse_compiling(compiled: bool) -> None:
    """Refuse to compile the fused decoder.

    Raises:
        InputError: that was asked for.
    """
    if compiled:
        raise InputError(
            "compile=True for a model that the fused decoder runs",
            expected="engine='transformers', the path that torch.compile is for",
            do="leave compile out: the fused decoder is compiled already, and faster",
        )


def _transformers(
    opened: OpenedModel, dtype: torch.dtype, device: torch.device, reason: str, *, compiled: bool
) -> LoadedEngine:
    """Load the transformers path, compiled where asked for."""
    from slimvec.model.folder import load_opened  # transformers takes seconds to import

    backbone = load_opened(opened, dtype=dtype, device=device).backbone
    name = f"transformers/{backbone.kernel}"
    if not compiled:
        return LoadedEngine(backbone, name, reason, device, dtype)
    if opened.spec.recency:
        raise InputError(
            f"compile=True with recency {opened.spec.recency:g}", expected="one of the two", do="leave compile out"
        )
    from slimvec.engine.compiled import CompiledBackbone

    under_compile = CompiledBackbone(backbone)
    return LoadedEngine(under_compile, f"{name}, compiled", reason, device, dtype, under_compile.warmup_seconds)


def why_not_fused(opened: OpenedModel, device: torch.device) -> str:
    """Say why the fused decoder does not run a model on a device; empty where it may."""
    if not is_decoder(opened.config):
        return f"architecture {opened.config['model_type']} is an encoder"
    return why_not_here(opened.spec.recency, device)


def why_not_here(recency: float, device: torch.device) -> str:
    """Say why the fused decoder does not run a decoder with such attention on a device; empty where it may."""
    if recency:
        return f"attention is calibrated with recency {recency:g}"
    return "" if device.type == "cpu" else f"the fused decoder runs on the CPU, not on {device.type}"


def _fused(opened: OpenedModel, dtype: torch.dtype) -> FusedDecoder:
    """Build the fused decoder; an adapter is folded into its base first."""
    causal = opened.spec.attention == "causal"
    texts = None
    if dtype == torch.int8:
        texts = int8_texts(opened.tokenizer(), opened.spec.pooling, opened.folder)
        dtype = torch.bfloat16 if torch.bfloat16 in load_kernels().dtypes else torch.float32
    source = open_folder(opened.weights, check=True, num_layers=opened.spec.num_layers)
    lora = read_plain_lora(opened.folder, source) if opened.is_adapter else None
    if lora is not None or not opened.is_adapter:
        return FusedDecoder.from_folder(
            opened.weights, causal=causal, dtype=dtype, int8=texts, config=opened.config, source=source, lora=lora
        )
    del source
    from slimvec.model.adapters import merge_lora
    from slimvec.model.folder import load_opened

    backbone = load_opened(opened, dtype=dtype).backbone
    merge_lora(backbone)
    return FusedDecoder.from_backbone(backbone.hf_model, causal=causal, dtype=dtype, int8=texts)
