"""The frozen layers of a model in training on the fused decoder. Training knows no engine: it is handed this.

A decoder in two parts: the states behind its first layers come from disk where they are kept, the rest is run.

For many models that have their first layers in common and read the same texts: the variants and seeds of a study, whose
adapters lie on the upper layers. What is kept is known by the weights of the first layers and the tokens of the text
(`slimvec.model.state_cache`), so a model that differs there, or that trained them, is run whole: slower, never wrong.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from slimvec.engine.embedder import Embedder
from slimvec.engine.fused import FusedDecoder, UnsupportedError
from slimvec.engine.fused.int8_layers import Int8Texts
from slimvec.engine.int8_texts import int8_texts
from slimvec.engine.kernels.library import load_kernels
from slimvec.engine.loading import LoadedEngine, why_not_fused, why_not_here
from slimvec.errors import ModelError
from slimvec.model.adapters import merge_lora
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.folder import load_opened
from slimvec.model.frozen_layers import LowerStates
from slimvec.model.guard import check_attention_mode
from slimvec.model.opening import OpenedModel, OpenSettings, open_model
from slimvec.model.spec import Pooling
from slimvec.model.state_cache import kept_states
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer


def open_frozen(
    backbone: TransformersBackbone,
    number: int,
    *,
    int8: Tokenizer | None = None,
    remark: Callable[[str], None] = lambda _line: None,
) -> LowerStates | None:
    """Build a decoder of the first layers of a backbone; None where the fused decoder does not run it.

    The layers' weights are held twice from then on.

    Args:
        backbone: With an adapter on layers above, or none.
        number: How many layers.
        int8: Round the layers to 8 bits, where kernels multiply in them: the tokenizer of the texts this is calibrated
            on. None for the backbone's own dtype.
        remark: Told why they are not rounded.
    """
    if int8 is not None:
        try:
            return _open_int8(backbone, number, int8)
        except (UnsupportedError, ModelError) as error:
            remark(error.found if isinstance(error, ModelError) else error.reason)
    if why_not_here(backbone.recency, backbone.device):
        return None
    try:
        decoder = _below(backbone, number)
    except UnsupportedError:
        return None
    # In plain torch it gains in float32 only.
    return decoder if decoder.kernel == "native" or decoder.dtype == torch.float32 else None


def _open_int8(backbone: TransformersBackbone, number: int, tokenizer: Tokenizer) -> FusedDecoder:
    """Build a decoder of the first layers in int8.

    Raises:
        UnsupportedError: the fused decoder does not run the model, or no kernel multiplies in int8.
        ModelError: what leaves the layers is too far from what leaves them in full.
    """
    kernels = load_kernels()
    has = {torch.int8, backbone.hf_model.dtype} <= {*kernels.dtypes}
    missing = "" if has else f"no kernel multiplies in it: {kernels.reason}"
    if reason := why_not_here(backbone.recency, backbone.device) or missing:
        raise UnsupportedError(reason)
    return _below(backbone, number, int8=int8_texts(tokenizer, Pooling(), f"what leaves the first {number} layers"))


def _below(backbone: TransformersBackbone, number: int, int8: Int8Texts | None = None) -> FusedDecoder:
    model = backbone.hf_model
    return FusedDecoder.below(model, number, causal=backbone.mode == "causal", dtype=model.dtype, int8=int8)


class SplitDecoder:
    """Gives states as the whole decoder does; a backbone.

    Args:
        lower: Gives what leaves the first layers.
        upper: The layers above.
    """

    def __init__(self, lower: LowerStates, upper: FusedDecoder) -> None:
        self._lower, self._upper = lower, upper

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] float32 of a batch."""
        return self._upper.from_states(batch, self._lower(batch).float())


@contextmanager
def open_split(
    source: str | Path, number: int, *, max_bytes: int, **settings: Unpack[OpenSettings]
) -> Iterator[Embedder]:
    """Load a model that keeps the states behind its first layers on disk, or takes them from there.

    Vectors are those of the whole model to rounding; in bfloat16 the kept states are rounded once more than there. What
    cannot be split so is loaded whole: an encoder, a model on a GPU, one with calibrated attention or another route
    for queries, and one that the fused decoder does not run.

    Args:
        source: As for `Embedder.load`.
        number: How many layers; those the models have in common.
        max_bytes: Size in bytes, at most, of all states in the cache.
        settings: As for `Embedder.load`.

    Raises:
        SlimvecError: as for `Embedder.load`.
    """
    opened = open_model(source, **settings)
    parts = _parts(opened, number)
    if parts is None:
        yield Embedder.from_opened(opened)
        return
    backbone, lower, upper = parts
    with kept_states(lower, backbone, number, max_bytes=max_bytes) as kept:
        decoder = SplitDecoder(kept, upper)
        check_attention_mode(decoder, opened.spec.attention, vocabulary=opened.vocabulary)
        name = f"fused/{upper.kernel}"
        engine = LoadedEngine(decoder, name, upper.kernel_reason, backbone.device, upper.dtype, isa=upper.isa)
        yield Embedder.from_engine(opened, engine, opened.tokenizer())


def _parts(opened: OpenedModel, number: int) -> tuple[TransformersBackbone, LowerStates, FusedDecoder] | None:
    """Load the weights and split them; None where that is not to be had."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if opened.queries is not None or why_not_fused(opened, device):
        return None
    if not 0 < number < int(opened.config["num_hidden_layers"]):
        return None
    backbone = load_opened(opened).backbone
    merge_lora(backbone)
    lower = open_frozen(backbone, number)
    if lower is None:
        return None
    causal = opened.spec.attention == "causal"
    try:
        return (
            backbone,
            lower,
            FusedDecoder.above(backbone.hf_model, number, causal=causal, dtype=backbone.hf_model.dtype),
        )
    except UnsupportedError:
        return None
