"""LoRA on every linear layer of a backbone, through PEFT (arXiv 2106.09685)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from slimvec.errors import ModelError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.spec import LoraSettings


def add_lora(backbone: TransformersBackbone, settings: LoraSettings, *, seed: int = 0) -> None:
    """Put a fresh adapter on all linear layers and freeze the rest.

    The adapter's weights are float32 whatever the base's dtype: bf16 steps at small learning rates round to nothing.

    Args:
        backbone: Changed in place.
        settings: Size of the adapter.
        seed: Of its random half (the other half starts at zero, so vectors do not change).

    Raises:
        ModelError: the backbone has an adapter already, or fewer layers than `first_layer`.
    """
    if isinstance(backbone.hf_model, PeftModel):
        raise ModelError("the model has an adapter already", do="merge it first")
    num_layers = backbone.config.num_hidden_layers
    if settings.first_layer >= num_layers:
        raise ModelError(f"first_layer {settings.first_layer}", expected=f"below the {num_layers} layers of the model")
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(backbone, settings.first_layer),
    )
    with torch.random.fork_rng(devices=[]), _quiet_peft():
        torch.manual_seed(seed)
        backbone.hf_model = get_peft_model(backbone.hf_model, config)


def _targets(backbone: TransformersBackbone, first_layer: int) -> str:
    """Say in PEFT's words which layers get an adapter; its own choice of layers does not go with "all-linear"."""
    if first_layer == 0:
        return "all-linear"
    modules = backbone.hf_model.named_modules()
    names = sorted({name.rpartition(".")[2] for name, module in modules if isinstance(module, nn.Linear)})
    numbers = range(first_layer, backbone.config.num_hidden_layers)
    return rf"(.*\.)?layers?\.({'|'.join(map(str, numbers))})\..*\.({'|'.join(names)})"


def load_lora(backbone: TransformersBackbone, folder: Path) -> None:
    """Put a saved adapter on a backbone, frozen.

    Raises:
        ModelError: the adapter does not fit.
    """
    try:
        with _quiet_peft():
            backbone.hf_model = PeftModel.from_pretrained(backbone.hf_model, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"adapter of {folder} cannot be loaded: {error}") from error


def has_lora(backbone: TransformersBackbone) -> bool:
    """Whether an adapter is on."""
    return isinstance(backbone.hf_model, PeftModel)


def merge_lora(backbone: TransformersBackbone) -> None:
    """Fold the adapter into the weights, in place; without an adapter nothing happens."""
    if isinstance(backbone.hf_model, PeftModel):
        merged = backbone.hf_model.merge_and_unload()
        assert isinstance(merged, PreTrainedModel)
        backbone.hf_model = merged


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Silence one warning that is not ours: PEFT 0.21 asks transformers 5.23 by a name that it has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
