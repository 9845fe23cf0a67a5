"""Tiny model folders and files of every architecture and form, from fixed seeds: what the fuzzer damages."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import LoraSettings
from tests.model.foreign import add_dense, add_module, add_norm, edit, foreign, write_router
from tests.model.tiny_sources import write_gguf
from tests.tiny import ARCHITECTURES, embedding_model

_PLAIN = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 24,
    "short_factor": [1.0, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 2.0, 5.0, 9.0],
}


def write_corpus(root: Path) -> dict[str, Path]:
    """Write every model into a folder; gives folders and files by name."""
    found = {}
    for architecture in ARCHITECTURES:
        for form, write in _FORMS.items():
            name = f"{architecture}-{form}"
            write(root / name, architecture)
            found[name] = root / name
    for name, write_one in _ONES.items():
        write_one(root / name)
        found[name] = root / name
    write_gguf(root / "llama.gguf")
    found["llama-gguf"] = root / "llama.gguf"
    return found


def _mode(architecture: str) -> str:
    return "bidirectional" if architecture in ("bert", "xlm-roberta") else "causal"


def _sentence_transformers(folder: Path, architecture: str) -> None:
    foreign(folder, architecture, _mode(architecture), normalize=True)


def _plain(folder: Path, architecture: str) -> None:
    """Write what transformers alone writes."""
    foreign(folder, architecture, _mode(architecture))
    for path in sorted(folder.iterdir()):
        if path.name not in _PLAIN:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _slimvec(folder: Path, architecture: str) -> None:
    save_model(embedding_model(architecture, _mode(architecture)), folder)


def _adapter(folder: Path) -> None:
    base = folder.with_name("qwen2-base")
    if not base.exists():
        save_model(embedding_model("qwen2"), base)
    model = load_model(base)
    add_lora(model.backbone, LoraSettings(rank=2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    save_model(model, folder, merged=False)


def _bare_adapter(folder: Path) -> None:
    """Write what PEFT alone writes."""
    whole = folder.with_name("to-be-bared")
    _adapter(whole)
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(whole / name, folder / name)
    shutil.rmtree(whole)


def _routes(folder: Path) -> None:
    """Write a Router over one transformer, with two poolings."""
    folder.mkdir()
    foreign(folder / "base", "llama")
    edit(folder / "q_Pooling/config.json", word_embedding_dimension=32, pooling_mode_lasttoken=True)
    routes = {"query": ["base", "q_Pooling"], "document": ["base", "base/1_Pooling"]}
    write_router(folder, routes, default_route="document", allow_empty_key=True)


def _two_transformers(folder: Path) -> None:
    """Write a Router over two transformers, with routes that are mapped."""
    folder.mkdir()
    foreign(folder / "small", "qwen2")
    foreign(folder / "large", "bert", "bidirectional")
    routes = {"light": ["small", "small/1_Pooling"], "heavy": ["large", "large/1_Pooling"]}
    mappings = {"('query', 'text')": "light", "(None, None)": "heavy"}
    write_router(folder, routes, default_route=None, allow_empty_key=False, route_mappings=mappings)


def _embedding_gemma(folder: Path) -> None:
    foreign(folder, "gemma3_text", "bidirectional")
    edit(folder / "config.json", drop=("is_causal",), use_bidirectional_attention=True)
    edit(folder / "sentence_bert_config.json", drop=("config_args",))
    add_dense(folder, 32, 24, bias=False)
    add_module(folder, "Normalize")


def _layered(folder: Path) -> None:
    foreign(folder, "bert", "bidirectional")
    add_norm(folder, 32)
    add_dense(folder, 32, 16, "activation.Tanh")


def _pickled(folder: Path) -> None:
    foreign(folder, "bert", "bidirectional")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _in_parts(folder: Path) -> None:
    foreign(folder, "qwen3")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
    for file in sorted(set(places.values())):
        save_file({name: tensors[name] for name in names if places[name] == file}, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _longrope(folder: Path) -> None:
    foreign(folder, "llama")
    edit(folder / "config.json", rope_parameters=_LONGROPE)


_FORMS: dict[str, Callable[[Path, str], None]] = {
    "st": _sentence_transformers,
    "plain": _plain,
    "slimvec": _slimvec,
}
_ONES: dict[str, Callable[[Path], None]] = {
    "qwen2-adapter": _adapter,
    "qwen2-bare-adapter": _bare_adapter,
    "llama-routes": _routes,
    "two-transformers": _two_transformers,
    "embeddinggemma": _embedding_gemma,
    "bert-layered": _layered,
    "bert-pickled": _pickled,
    "qwen3-in-parts": _in_parts,
    "llama-longrope": _longrope,
}
