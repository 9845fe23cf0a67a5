"""`EmbeddingModel`: backbone, pooling and head in one module. Training and inference both call it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.errors import InputError, ModelError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.manifest import Origin
from slimvec.model.pooling import pool, truncate
from slimvec.model.spec import ModelSpec
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer


def check_dims(dims: int | None, width: int) -> None:
    """Refuse vectors wider than the model's.

    Raises:
        InputError: always then.
    """
    if dims is not None and not 1 <= dims <= width:
        raise InputError(f"dims {dims}", expected=f"1 to {width}, the model's width")


def finish(pooled: Tensor, spec: ModelSpec, dims: int | None = None) -> Tensor:
    """Turn pooled states into vectors: cut to `dims` (default the spec's), then scale to unit length.

    Args:
        pooled: [B, H] float32.
        spec: The model's settings.
        dims: Width asked for.

    Returns:
        [B, dims] float32.
    """
    vectors = truncate(pooled, dims or spec.dims)
    return F.normalize(vectors, dim=-1) if spec.normalize else vectors


class EmbeddingModel(nn.Module):
    """A backbone that gives vectors.

    Args:
        backbone: Gives states.
        tokenizer: The model's own.
        spec: Pooling, widths, prompts. Its attention mode must be the backbone's.

    Attributes:
        origin: Where the weights started; None for a model built in memory.
        tokenizer_folder: Where the tokenizer's files lie, to be copied when the model is saved.
        training_record: What `slimvec.json` says about the training, kept when the model is saved again.

    Raises:
        ModelError: spec and backbone disagree on the attention mode.
        InputError: the spec's dims are more than the backbone's width.
    """

    def __init__(self, backbone: TransformersBackbone, tokenizer: Tokenizer, spec: ModelSpec) -> None:
        super().__init__()
        if backbone.mode != spec.attention:
            raise ModelError(f"a {backbone.mode} backbone", expected=f"{spec.attention}, as the model's settings say")
        for dims in (spec.dims, *spec.trained_dims):
            check_dims(dims, backbone.dims)
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.spec = spec
        self.origin: Origin | None = None
        self.tokenizer_folder: Path | None = None
        self.training_record: dict[str, Any] | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

    @property
    def dims(self) -> int:
        """Width of the vectors it gives."""
        return self.spec.dims or self.backbone.dims

    def forward(self, batch: PackedBatch, *, dims: int | None = None) -> Tensor:
        """Embed a batch: [B, D] float32, of unit length unless the spec says otherwise.

        Args:
            batch: Packed texts, prompts written in front already.
            dims: Width, when another than the spec's.

        Raises:
            InputError: `dims` is more than the backbone's width.
        """
        check_dims(dims, self.backbone.dims)
        return finish(pool(self.backbone(batch), batch, self.spec.pooling), self.spec, dims)

    def embed_packed(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Embed token sequences as they are, without gradients: [B, D]. For checks; the engine is for work."""
        with torch.inference_mode():
            vectors: Tensor = self(PackedBatch.from_sequences(sequences))
        return vectors
