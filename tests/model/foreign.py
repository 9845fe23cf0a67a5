"""Folders as other people write them, and sentence-transformers' own vectors for them."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from slimvec.engine.embedder import Embedder
from slimvec.model.spec import AttentionMode
from tests.tiny import embedding_model

TEXTS = ["one text", "another, longer text with more in it", "x", "A Mid-Sized One"]
_PLACE = "sentence_transformers.models."


def foreign(
    folder: Path, architecture: str = "llama", mode: AttentionMode = "causal", *, seed: int = 0, **settings: Any
) -> Path:
    """Write a tiny model that gives its states' mean, as sentence-transformers has it and without slimvec's files."""
    model = embedding_model(architecture, mode, seed=seed, **{"normalize": False, **settings})
    Embedder.from_model(model).save(folder)
    for name in ("slimvec.json", "golden.json"):
        (folder / name).unlink()
    return folder


def edit(path: Path, /, *, drop: Sequence[str] = (), **values: Any) -> None:
    """Change keys of a JSON file, which is made if it is not there."""
    content = json.loads(path.read_text()) if path.is_file() else {}
    content = {key: value for key, value in content.items() if key not in drop} | values
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def add_module(
    folder: Path, kind: str, config: dict[str, Any] | None = None, tensors: dict[str, Tensor] | None = None
) -> None:
    """Add a module behind those of a folder."""
    entries = json.loads((folder / "modules.json").read_text())
    path = f"{len(entries)}_{kind.rpartition('.')[2]}"
    entries.append({"idx": len(entries), "name": str(len(entries)), "path": path, "type": _PLACE + kind})
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / path).mkdir()
    if config is not None:
        (folder / path / "config.json").write_text(json.dumps(config))
    if tensors:
        save_file(tensors, folder / path / "model.safetensors")


def add_dense(folder: Path, width: int, dims: int, activation: str = "linear.Identity", **changes: Any) -> None:
    """Add a Dense module with drawn weights."""
    generator = torch.Generator().manual_seed(width * dims)
    tensors = {"linear.weight": torch.randn(dims, width, generator=generator) / 4}
    if changes.get("bias", True):
        tensors["linear.bias"] = torch.randn(dims, generator=generator)
    if changes.get("use_residual") and width != dims:
        tensors["residual.weight"] = torch.randn(dims, width, generator=generator)
    config = {"in_features": width, "out_features": dims, "bias": True}
    config["activation_function"] = f"torch.nn.modules.{activation}"
    add_module(folder, "Dense", config | changes, tensors)


def add_norm(folder: Path, width: int) -> None:
    """Add a LayerNorm with drawn weights."""
    generator = torch.Generator().manual_seed(width)
    tensors = {f"norm.{name}": torch.rand(width, generator=generator) for name in ("weight", "bias")}
    add_module(folder, "LayerNorm", {"dimension": width}, tensors)


def write_router(folder: Path, routes: dict[str, list[str]], **parameters: Any) -> None:
    """Make a folder a Router over module folders in it; those called `...Pooling` are that, others a Transformer."""
    kinds = {
        name: "Pooling" if name.endswith("Pooling") else "Transformer" for route in routes.values() for name in route
    }
    types = {name: _PLACE + kind for name, kind in kinds.items()}
    content = {"types": types, "structure": routes, "parameters": parameters}
    (folder / "router_config.json").write_text(json.dumps(content))
    entry = {"idx": 0, "name": "0", "path": "", "type": _PLACE + "Router"}
    (folder / "modules.json").write_text(json.dumps([entry]))
    edit(folder / "config_sentence_transformers.json", prompts={"query": "find: ", "document": ""})


def theirs(folder: Path, texts: Sequence[str] = TEXTS, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """sentence-transformers' vectors of texts as queries and as documents."""
    model = sentence_transformer(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.encode_query(list(texts), **how), model.encode_document(list(texts), **how)


def sentence_transformer(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def assert_equals_theirs(folder: Path, embedder: Embedder, texts: Sequence[str] = TEXTS) -> None:
    """See that slimvec gives sentence-transformers' vectors, length included."""
    ours = embedder.embed_queries(list(texts)), embedder.embed_documents(list(texts))
    for mine, other in zip(ours, theirs(folder, texts), strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, atol=2e-5, rtol=2e-4)
