"""`EmbeddingModel`: backbone, pooling and head in one module. Training and inference both call it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slimvec.errors import ModelError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.head import Head, check_dims, finish
from slimvec.model.manifest import Origin
from slimvec.model.pooling import pool
from slimvec.model.rope_scaling import RopeScaling
from slimvec.model.spec import AttentionMode, ModelSpec
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer


class EmbeddingModel(nn.Module):
    """A backbone that gives vectors.

    Args:
        backbone: Gives states.
        tokenizer: The model's own.
        spec: Pooling, widths, prompts. Its attention mode must be the backbone's.
        head: The layers that the spec has behind the pooling; default fresh ones.

    Attributes:
        origin: Where the weights started; None for a model built in memory.
        tokenizer_folder: Where the tokenizer's files lie, to be copied when the model is saved.
        training_record: What `slimvec.json` says about the training, kept when the model is saved again.
        rope: How the backbone's positions were stretched when it was loaded; its config says it too.

    Raises:
        ModelError: spec and backbone disagree on the attention mode.
        InputError: the spec's dims are more than the model's width.
    """

    def __init__(
        self, backbone: TransformersBackbone, tokenizer: Tokenizer, spec: ModelSpec, head: Head | None = None
    ) -> None:
        super().__init__()
        if backbone.mode != spec.attention:
            raise ModelError(f"a {backbone.mode} backbone", expected=f"{spec.attention}, as the model's settings say")
        for dims in (spec.dims, *spec.trained_dims):
            check_dims(dims, spec.full_width(backbone.dims))
        self.backbone = backbone
        self.head = head or Head(spec.head, backbone.dims)
        self.tokenizer = tokenizer
        self.spec = spec
        self.origin: Origin | None = None
        self.tokenizer_folder: Path | None = None
        self.training_record: dict[str, Any] | None = None
        self.rope: RopeScaling | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

    @property
    def dims(self) -> int:
        """Width of the vectors it gives."""
        return self.spec.dims or self.spec.full_width(self.backbone.dims)

    def attend(self, mode: AttentionMode) -> None:
        """Change the attention mode, for training that leads from one to the other: the weights stay as they are."""
        self.backbone.attend(mode)
        self.spec = self.spec.replace(attention=mode)

    def forward(self, batch: PackedBatch, *, dims: int | None = None) -> Tensor:
        """Embed a batch: [B, D] float32, of unit length unless the spec says otherwise.

        Args:
            batch: Packed texts, prompts written in front already.
            dims: Width, when another than the spec's.

        Raises:
            InputError: `dims` is more than the model's width.
        """
        return finish(pool(self.backbone(batch), batch, self.spec.pooling), self.head, self.spec, dims)
