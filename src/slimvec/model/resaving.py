"""Writing a model that was loaded, or is in memory, as a folder of its own."""

from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch

from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import load_opened, save_model
from slimvec.model.lm_head import kept_head
from slimvec.model.opening import OpenedModel
from slimvec.model.routed_folder import save_routes


class SaveSettings(TypedDict):
    """What is written, as `Embedder.save` says."""

    merged: bool
    language_model: bool
    training: dict[str, Any] | None
    force: bool


def save_opened(
    opened: OpenedModel,
    folder: Path,
    *,
    dtype: torch.dtype | None,
    **asked: Unpack[SaveSettings],
) -> None:
    """Write a model that was opened, of one route or two; `dtype` is that of its weights, None their own.

    The settings, and errors, are those of `Embedder.save`.
    """
    if opened.queries is not None:
        whole = asked["merged"] and not asked["language_model"]
        save_routes(opened, folder, dtype=dtype, training=asked["training"], whole=whole, force=asked["force"])
        return
    save_with_head(load_opened(opened, dtype=dtype), opened, folder, **asked)


def save_with_head(
    model: EmbeddingModel,
    opened: OpenedModel | None,
    folder: Path,
    **asked: Unpack[SaveSettings],
) -> None:
    """Write a model in memory with the language-model head it keeps, from what was opened; None where nothing was.

    The settings, and errors, are those of `Embedder.save`.
    """
    head = kept_head(opened, model.backbone, wanted=asked["language_model"])
    save_model(
        model, folder, merged=asked["merged"], training=asked["training"], language_head=head, force=asked["force"]
    )
