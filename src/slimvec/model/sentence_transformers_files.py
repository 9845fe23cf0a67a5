"""The sentence-transformers form of a model folder, written.

Only the oldest spelling is written: types `sentence_transformers.models.*` and the boolean `pooling_mode_*` keys.
sentence-transformers 5 and 6, text-embeddings-inference and vLLM all read it; the new compact keys break some of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from slimvec.model.architectures import Config, attention_settings
from slimvec.model.head import Head
from slimvec.model.head_files import write_head
from slimvec.model.json_files import write_json
from slimvec.model.manifest import package_versions
from slimvec.model.modules import BETA_POOLING_TYPE, MODULES_NAME, POOLING_KEYS
from slimvec.model.spec import ModelSpec, PoolingMode
from slimvec.text.prompts import ROLES

TRANSFORMER_TYPE = "sentence_transformers.models.Transformer"
_OTHER_POOLING_KEYS = ("pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens")


def write_modules(folder: Path, spec: ModelSpec, head: Head, config: Config) -> None:
    """Write the module files of a model whose transformers files are in the folder already.

    A beta pooling that is none of the standard ones names a module of slimvec's own: readers without slimvec stop with
    an import error instead of giving wrong vectors. The head's layers are modules of their own; fewer dims become a
    Dense module that keeps the first ones.
    """
    modules = [("", TRANSFORMER_TYPE), *write_layers(folder, spec, head, int(config["hidden_size"]))]
    write_module_list(folder, modules)
    write_module_settings(folder, spec, config)
    write_whole_settings(folder, spec)


def write_module_list(folder: Path, modules: Sequence[tuple[str, str]]) -> None:
    """Write `modules.json`: path and type of each module."""
    entries = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    write_json(folder / MODULES_NAME, entries)


def write_layers(folder: Path, spec: ModelSpec, head: Head, width: int) -> list[tuple[str, str]]:
    """Write the modules behind the transformer.

    Args:
        folder: Gets a folder for each.
        spec: The model's settings.
        head: The layers behind its pooling.
        width: Width of the states.

    Returns:
        Folder and type of each.
    """
    mode = spec.pooling.standard_mode()
    modules = []
    if mode == "beta":
        modules.append(("1_Pooling", BETA_POOLING_TYPE))
        beta = spec.pooling.model_dump(mode="json")["beta"]
        write_json(
            folder / "1_Pooling/config.json",
            {"beta": beta, "include_prompt": spec.pooling.include_prompt, "dims": width},
        )
    else:
        modules.append(("1_Pooling", "sentence_transformers.models.Pooling"))
        write_json(folder / "1_Pooling/config.json", _pooling_config(mode, width, spec.pooling.include_prompt))
    modules += write_head(folder, head)
    width = spec.full_width(width)
    if spec.dims is not None and spec.dims < width:
        modules.append((f"{len(modules) + 1}_Dense", "sentence_transformers.models.Dense"))
        _write_truncation(folder / modules[-1][0], width, spec.dims)
    if spec.normalize:
        modules.append((f"{len(modules) + 1}_Normalize", "sentence_transformers.models.Normalize"))
        (folder / modules[-1][0]).mkdir(exist_ok=True)
    return modules


def _pooling_config(mode: PoolingMode, width: int, include_prompt: bool) -> dict[str, Any]:
    flags = {key: name == mode for name, key in POOLING_KEYS.items()} | dict.fromkeys(_OTHER_POOLING_KEYS, False)
    return {"word_embedding_dimension": width, **flags, "include_prompt": include_prompt}


def _write_truncation(folder: Path, width: int, dims: int) -> None:
    """Write a Dense module whose weight is the first `dims` rows of the identity."""
    write_json(
        folder / "config.json",
        {
            "in_features": width,
            "out_features": dims,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    save_file({"linear.weight": torch.eye(dims, width)}, folder / "model.safetensors")


def write_module_settings(folder: Path, spec: ModelSpec, config: Config) -> None:
    """Write the settings of the Transformer module."""
    # An adapter folder has no config.json of its own, so its readers must be told the attention mode here.
    write_json(
        folder / "sentence_bert_config.json",
        {
            "max_seq_length": spec.max_tokens,
            "do_lower_case": spec.lower_case,
            "config_args": attention_settings(config, spec.attention),
        },
    )


def write_whole_settings(folder: Path, spec: ModelSpec) -> None:
    """Write the settings of the model as a whole."""
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": package_versions(),
            "prompts": {**{role: spec.prompts.render(role) for role in ROLES}, **spec.prompts.named},
            "default_prompt_name": None,
            "similarity_fn_name": spec.similarity,
        },
    )
