"""A LoRA folded into the weights of its base as they are read (arXiv 2106.09685), without PEFT and transformers.

Importing those and building a model of modules takes five seconds of processor time, which every command with an
adapter would pay. Served is what slimvec itself writes: one plain LoRA on linear layers, and perhaps on the token
embeddings too. Any other adapter, and any in which something is missing, too much, of another shape or not finite, is
left to `slimvec.model.adapters`, which reads all that PEFT reads and says what is wrong.

    W' = W + alpha / rank * B A             of a linear layer
    E' = E + alpha / rank * (B A)^T         of the embeddings
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from slimvec.engine.fused.weights import WeightSource
from slimvec.model.opening import ADAPTER_NAME, ADAPTER_WEIGHTS

_LINEAR = re.compile(r"layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight")
_EMBEDDINGS = "embed_tokens"
_TENSOR = re.compile(
    r"base_model\.model\.(?:model\.)?"
    r"(?:(?P<module>layers\..+)\.lora_(?P<half>[AB])\.weight|(?P<table>embed_tokens)\.lora_embedding_(?P<side>[AB]))"
)
_SET = {"peft_type": "LORA", "bias": "none", "init_lora_weights": True}
_WITHOUT_EFFECT = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "megatron_core", "peft_version",
    "qalora_group_size", "revision", "task_type",
}  # fmt: skip
"""Keys that change nothing of what a saved plain LoRA gives."""


@dataclass(frozen=True, eq=False)
class PlainLora:
    """A LoRA that can be folded in.

    Attributes:
        scales: alpha / rank by name.
        halves: A [rank, in] and B [out, rank] of each linear layer, by its name in the base without a prefix; of the
            embeddings A [rank, vocabulary] and B [width, rank].
    """

    scales: Mapping[str, float]
    halves: Mapping[str, tuple[Tensor, Tensor]]

    def folded(self, source: WeightSource, dtype: torch.dtype) -> WeightSource:
        """Give the base's weights with the LoRA in them, each when it is read.

        Args:
            source: The base's.
            dtype: What a changed weight is in; the sum is in float32 and rounded once, as PEFT does it, who rounds an
                update of embeddings by itself first.
        """

        def change(name: str, weight: Tensor) -> Tensor:
            module = name.removesuffix(".weight")
            if module not in self.halves:
                return weight
            a, b = self.halves[module]
            if module == _EMBEDDINGS:
                return weight.to(dtype, copy=True).add_(((b @ a).T * self.scales[module]).to(dtype))
            return weight.to(dtype, copy=True).add_((b @ a) * self.scales[module])

        return source.changed(change)


def read_plain_lora(folder: Path, base: WeightSource) -> PlainLora | None:
    """Read an adapter; None where it is to be left to PEFT.

    Args:
        folder: Holds the adapter as PEFT writes it.
        base: Weights of its base.
    """
    try:
        config = json.loads((folder / ADAPTER_NAME).read_text(encoding="utf-8"))
        tensors = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, ValueError, SafetensorError):
        return None
    if not isinstance(config, dict) or not _is_plain(config):
        return None
    found = (name for name in base.names if _LINEAR.fullmatch(name) or name == f"{_EMBEDDINGS}.weight")
    modules = {name.removesuffix(".weight") for name in found}
    targets = {module for module in modules if _is_target(module, config["target_modules"])}
    halves = _pair(tensors)
    if halves is None or not targets or halves.keys() != targets:
        return None
    ranks, alphas = (_by_module(config, key, halves) for key in ("r", "lora_alpha"))
    for module, (a, b) in halves.items():
        rows, columns = base.read(f"{module}.weight").shape
        if module == _EMBEDDINGS:
            rows, columns = columns, rows
        fits = a.shape == (ranks[module], columns) and b.shape == (rows, ranks[module])
        if not fits or not (a.isfinite().all() and b.isfinite().all()):
            return None
    if not any(b.any() for _, b in halves.values()):
        return None
    return PlainLora({module: alphas[module] / ranks[module] for module in halves}, halves)


def _by_module(config: Mapping[str, Any], key: str, modules: Iterable[str]) -> dict[str, Any]:
    """Give a config's rank or factor for each module."""
    own = config.get({"r": "rank_pattern", "lora_alpha": "alpha_pattern"}[key]) or {}
    return {module: own.get(module, config[key]) for module in modules}


def _is_plain(config: Mapping[str, Any]) -> bool:
    """Tell whether a config asks for a plain LoRA: one rank and factor, and perhaps others of the embeddings."""
    rank, alpha, targets = (config.get(key) for key in ("r", "lora_alpha", "target_modules"))
    numbers = type(rank) is int and rank > 0 and type(alpha) in (int, float)
    names = isinstance(targets, str) or (isinstance(targets, list) and all(isinstance(one, str) for one in targets))
    own = {"r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern"}
    rest = config.keys() - _SET.keys() - _WITHOUT_EFFECT - own
    return (
        numbers
        and _is_of_embeddings(config.get("rank_pattern") or {}, int)
        and _is_of_embeddings(config.get("alpha_pattern") or {}, float)
        and names
        and all(config.get(key) == value for key, value in _SET.items())
        and not any(config[key] for key in rest)
    )


def _is_of_embeddings(pattern: object, kind: type) -> bool:
    """Tell whether a pattern of ranks or factors speaks of the token embeddings alone, in numbers that can be meant."""
    if not isinstance(pattern, dict):
        return False
    numbers = all(type(value) in (int, kind) and value > 0 for value in pattern.values())
    return numbers and pattern.keys() <= {_EMBEDDINGS}


def _is_target(module: str, targets: str | list[str]) -> bool:
    """Tell whether an adapter has a place at a layer, as PEFT does: by a pattern of whole names, or by their ends."""
    if isinstance(targets, list):
        return any(module == target or module.endswith(f".{target}") for target in targets)
    try:
        return re.fullmatch(targets, module) is not None
    except re.error:
        return False


def _pair(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]] | None:
    """Put the halves of each layer together; None where a name is none of a LoRA's, or a half stands alone."""
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = _TENSOR.fullmatch(name)
        if found is None or tensor.ndim != 2 or not tensor.is_floating_point():
            return None
        name, half = (found["module"], found["half"]) if found["module"] else (found["table"], found["side"])
        halves.setdefault(name, {})[half] = tensor.float()
    if any(half.keys() != {"A", "B"} for half in halves.values()):
        return None
    return {module: (half["A"], half["B"]) for module, half in halves.items()}
