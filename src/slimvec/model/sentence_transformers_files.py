"""The sentence-transformers form of a model folder, written and read.

Only the oldest spelling is written: types `sentence_transformers.models.*` and the boolean `pooling_mode_*` keys.
sentence-transformers 5 and 6, text-embeddings-inference and vLLM all read it; the new compact keys break some of them.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from slimvec.errors import ModelError
from slimvec.model.architectures import Config, attention_settings, longest_text, read_attention_mode
from slimvec.model.manifest import package_versions
from slimvec.model.spec import ModelSpec, Pooling, PoolingMode
from slimvec.text.prompts import Prompts

_POOLING_KEYS: dict[PoolingMode, str] = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "weighted": "pooling_mode_weightedmean_tokens",
    "last": "pooling_mode_lasttoken",
}
_OTHER_POOLING_KEYS = ("pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens")
_PLAIN_NAMES = {"cls": "cls", "mean": "mean", "weightedmean": "weighted", "lasttoken": "last"}
BETA_POOLING_TYPE = "slimvec.model.beta_pooling.BetaPooling"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as people read it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_modules(folder: Path, spec: ModelSpec, config: Config) -> None:
    """Write the module files of a model whose transformers files are in the folder already.

    A beta pooling that is none of the standard ones names a module of slimvec's own: readers without slimvec stop with
    an import error instead of giving wrong vectors. Fewer dims become a Dense module that keeps the first ones.
    """
    width = int(config["hidden_size"])
    mode = spec.pooling.standard_mode()
    modules = [("", "sentence_transformers.models.Transformer")]
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
    if spec.dims is not None and spec.dims < width:
        modules.append((f"{len(modules)}_Dense", "sentence_transformers.models.Dense"))
        _write_truncation(folder / modules[-1][0], width, spec.dims)
    if spec.normalize:
        modules.append((f"{len(modules)}_Normalize", "sentence_transformers.models.Normalize"))
        (folder / modules[-1][0]).mkdir(exist_ok=True)
    entries = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    write_json(folder / "modules.json", entries)
    _write_settings(folder, spec, config)


def _pooling_config(mode: PoolingMode, width: int, include_prompt: bool) -> dict[str, Any]:
    flags = {key: name == mode for name, key in _POOLING_KEYS.items()} | dict.fromkeys(_OTHER_POOLING_KEYS, False)
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


def _write_settings(folder: Path, spec: ModelSpec, config: Config) -> None:
    # An adapter folder has no config.json of its own, so its readers must be told the attention mode here.
    write_json(
        folder / "sentence_bert_config.json",
        {
            "max_seq_length": spec.max_tokens,
            "do_lower_case": False,
            "config_args": attention_settings(config, spec.attention),
        },
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": package_versions(),
            "prompts": {role: spec.prompts.render(role) for role in ("query", "document")},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )


def read_spec(folder: Path, config: Config) -> ModelSpec:
    """Work out the settings of a folder that slimvec did not write.

    Without `modules.json` it is a plain language model: mean pooling, unit vectors, no prompts, 512 tokens at most.

    Raises:
        ModelError: a module or a pooling that slimvec does not have.
    """
    spec = ModelSpec(attention=read_attention_mode(config), max_tokens=_max_tokens(folder, config))
    if not (folder / "modules.json").is_file():
        return spec
    modules = {entry["type"].rsplit(".", 1)[-1]: entry["path"] for entry in _read_json(folder / "modules.json")}
    unknown = modules.keys() - {"Transformer", "Pooling", "Normalize"}
    if unknown or "Pooling" not in modules:
        raise ModelError(
            f"{folder / 'modules.json'} has modules {', '.join(modules)}", expected="Transformer, Pooling, Normalize"
        )
    settings = _read_json(folder / "config_sentence_transformers.json", missing={})
    prompts = {role: text for role, text in settings.get("prompts", {}).items() if role in ("query", "document")}
    return spec.replace(
        pooling=_read_pooling(folder / modules["Pooling"] / "config.json"),
        normalize="Normalize" in modules,
        prompts=Prompts(**prompts),
    )


def _read_pooling(path: Path) -> Pooling:
    content = _read_json(path)
    if "pooling_mode" in content:
        modes = [_PLAIN_NAMES.get(content["pooling_mode"], content["pooling_mode"])]
    else:
        names = {key: name for name, key in _POOLING_KEYS.items()}
        modes = [names.get(key, key) for key, on in content.items() if key.startswith("pooling_mode_") and on]
    if len(modes) != 1 or modes[0] not in _POOLING_KEYS:
        raise ModelError(f"{path} pools by {modes}", expected="one of cls, mean, weightedmean, lasttoken")
    return Pooling(mode=modes[0], include_prompt=content.get("include_prompt", True))


def _max_tokens(folder: Path, config: Config) -> int:
    settings = _read_json(folder / "sentence_bert_config.json", missing={})
    return min(int(settings.get("max_seq_length") or 512), longest_text(config))


def _read_json(path: Path, *, missing: Any = None) -> Any:
    if missing is not None and not path.is_file():
        return missing
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", expected="JSON") from error
