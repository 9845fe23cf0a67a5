"""The shape of a model without its weights: for plans of memory and time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import adapted_layers
from slimvec.model.architectures import Config, check_served, read_config
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.manifest import read_manifest
from slimvec.model.modules import MODULES_NAME, read_modules
from slimvec.model.sources import find_source
from slimvec.model.spec import AttentionMode, ModelSpec

_QWEN = {"model_type": "qwen2", "vocab_size": 151936, "max_position_embeddings": 32768, "num_key_value_heads": 2}
_KNOWN: Mapping[str, Config] = MappingProxyType(
    {
        "smollm2-135m": {
            "model_type": "llama",
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
        },
        "gemma3-270m": {
            "model_type": "gemma3_text",
            "vocab_size": 262144,
            "hidden_size": 640,
            "intermediate_size": 2048,
            "num_hidden_layers": 18,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "sliding_window": 512,
        },
        "Qwen/Qwen2-0.5B": {
            **_QWEN,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
        },
        "Qwen/Qwen2-1.5B": {
            **_QWEN,
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
        },
    }
)
"""Shapes of bases that recipes name, so that a plan needs no download."""
_SMALL_VOCABULARY = 64


@dataclass(frozen=True)
class WeightCounts:
    """How many numbers a model has.

    Attributes:
        total: All.
        linear: In the matrices of linear layers that an adapter is put on.
        sides: Sum over those matrices of height and width: an adapter of rank r has r times as many numbers.
        table: Height and width of the token embeddings together, for an adapter on these.
    """

    total: int
    linear: int
    sides: int
    table: int


def read_shape(source: str, *, revision: str | None = None, config: Path | None = None) -> Config:
    """Find the config of a base, touching no network.

    Args:
        source: As for `resolve_source`.
        revision: Revision of a hub name.
        config: A folder with a `config.json` to take instead.

    Raises:
        InputError: the base is not on this machine, and its shape is not known; or `config` is no folder.
        ModelError: its config cannot be used.
    """
    if config is not None and not config.is_dir():
        raise InputError(f"{config} is not a folder", expected="a folder with a config.json")
    folder = config or find_source(source, revision=revision)
    if folder is not None and folder.is_dir():
        return read_config(folder)
    if source in _KNOWN:
        return _KNOWN[source]
    raise InputError(
        f"the shape of {source} is not known: it is not on this machine",
        expected=f"a model folder, a fetched model, or one of {', '.join(_KNOWN)}",
        do="run slimvec fetch, or name a folder with its config.json as --config",
    )


def read_spec(source: str | None, *, revision: str | None = None) -> ModelSpec:
    """Read the settings of a model as far as the widths of its vectors depend on them, touching no network.

    Args:
        source: As for `resolve_source`; None for a new model.
        revision: Revision of a hub name.

    Returns:
        The defaults for a model that is not on this machine, and for a plain language model.

    Raises:
        ModelError: its files cannot be used.
    """
    try:
        folder = None if source is None else find_source(source, revision=revision)
    except InputError:  # nowhere: its config came from elsewhere
        return ModelSpec()
    if folder is None or not folder.is_dir():
        return ModelSpec()
    if (manifest := read_manifest(folder)) is not None:
        return manifest.spec
    return ModelSpec(head=read_modules(folder).head if (folder / MODULES_NAME).is_file() else ())


def read_width(source: str) -> int | None:
    """Find the width of a model's vectors, touching no network; None where its files do not say it."""
    try:
        spec, states = read_spec(source), int(read_shape(source)["hidden_size"])
    except (InputError, ModelError):
        return None
    return spec.dims or spec.full_width(states)


def count_weights(config: Config, *, first_layer: int = 0) -> WeightCounts:
    """Count the numbers of the bare model, by building it without memory.

    Args:
        config: Shape of the model.
        first_layer: Lowest layer that an adapter is put on.
    """
    with torch.device("meta"):
        model = build_bare(config, torch.float32)
    matrices = [module.weight for module in adapted_layers(model, first_layer)]
    return WeightCounts(
        total=sum(parameter.numel() for parameter in model.parameters()),
        linear=sum(matrix.numel() for matrix in matrices),
        sides=sum(sum(matrix.shape) for matrix in matrices),
        table=sum(model.get_input_embeddings().weight.shape),
    )


def sample_backbone(
    config: Config, mode: AttentionMode, *, num_layers: int, dtype: torch.dtype
) -> TransformersBackbone:
    """Build a backbone of few layers, as wide as the model, with random weights and next to no vocabulary."""
    changes: dict[str, Any] = {"num_hidden_layers": num_layers, "vocab_size": _SMALL_VOCABULARY}
    changes |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0)
    if "layer_types" in config:
        changes["layer_types"] = list(config["layer_types"])[:num_layers]
    return TransformersBackbone(build_bare({**config, **changes}, dtype), mode)


def build_bare(config: Config, dtype: torch.dtype) -> PreTrainedModel:
    """Build the bare model of a config, with random weights.

    Raises:
        ModelError: an architecture that is not served.
    """
    check_served(config)
    settings = {key: value for key, value in config.items() if key not in ("model_type", "torch_dtype", "dtype")}
    model = AutoModel.from_config(AutoConfig.for_model(config["model_type"], **settings), dtype=dtype)
    assert isinstance(model, PreTrainedModel)
    return model
