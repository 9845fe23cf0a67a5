"""Folders of models whose queries and documents run through different modules, as a Router of sentence-transformers.

modules.json            the Router, `router_config.json`: the modules of each role, in their order
document/               transformer and modules of documents
query/                  modules of queries; their transformer too, where it is another one
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.errors import ModelError
from slimvec.files import atomic_folder
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import check_kept, embedder_by_role, load_opened, write_transformer
from slimvec.model.golden import write_golden
from slimvec.model.identity import same_backbone
from slimvec.model.json_files import write_json
from slimvec.model.manifest import MANIFEST_NAME, Manifest, package_versions
from slimvec.model.opening import OpenedModel
from slimvec.model.router import ROUTER_NAME
from slimvec.model.sentence_transformers_files import (
    TRANSFORMER_TYPE,
    write_layers,
    write_module_list,
    write_module_settings,
    write_whole_settings,
)
from slimvec.text.prompts import Role

_ROUTER_TYPE = "sentence_transformers.models.Router"


def save_routes(
    opened: OpenedModel,
    folder: Path,
    *,
    dtype: torch.dtype | None,
    training: dict[str, Any] | None = None,
    whole: bool = True,
    force: bool = False,
) -> None:
    """Write a model with a route for queries and one for documents, with golden vectors of both.

    Args:
        opened: The model. A transformer that both routes share is written once.
        folder: Must not exist, or `force`.
        dtype: Data type of the weights; default the model's own choice.
        training: Recipe and data of the training, for `slimvec.json`.
        whole: Whether whole weights are asked for, without a language-model head; there is nothing else.
        force: Replace what is there.

    Raises:
        InputError: the folder exists.
        ModelError: something else than whole weights is asked for, or a route was loaded with something that the files
            would not say.
        StorageError: it cannot be written.
    """
    if not whole:
        raise ModelError(
            "an adapter or a language-model head of a model with a route for queries", expected="whole weights alone"
        )
    documents, queries = _load(opened, dtype)
    models: Mapping[Role, EmbeddingModel] = {"document": documents, "query": queries}
    for model in models.values():
        check_kept(model)
        if model.spec.pooling.standard_mode() == "beta":
            raise ModelError(
                "a beta pooling in a model with routes", expected="cls, mean, weightedmean or lasttoken on each"
            )
    spec = documents.spec.with_queries(queries.spec)
    with atomic_folder(folder, force=force) as building:
        _write_routes(building, models)
        write_whole_settings(building, spec)
        manifest = Manifest(
            spec=spec, base=documents.origin, training=training or opened.training, versions=package_versions()
        )
        (building / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")

        def embed(texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            return embedder_by_role(models[role])(texts, role)

        stored = str(next(documents.backbone.parameters()).dtype).removeprefix("torch.")
        write_golden(building, embed, dtype=stored)


def _load(opened: OpenedModel, dtype: torch.dtype | None) -> tuple[EmbeddingModel, EmbeddingModel]:
    """Load what documents and what queries run through, with one backbone where both have the same transformer."""
    documents, queries = load_opened(opened, dtype=dtype), opened.queries
    assert queries is not None
    if not same_backbone(opened, queries):
        return documents, load_opened(queries, dtype=dtype)
    model = EmbeddingModel(documents.backbone, queries.tokenizer(), queries.spec, queries.head())
    model.tokenizer_folder, model.rope = queries.tokenizer_folder, queries.rope
    return documents, model.eval()


def _write_routes(folder: Path, models: Mapping[Role, EmbeddingModel]) -> None:
    """Write the modules of each role, and the Router that names them."""
    types: dict[str, str] = {}
    routes: dict[str, list[str]] = {}
    homes: dict[int, str] = {}
    for role, model in models.items():
        place = folder / role
        place.mkdir()
        config = model.backbone.config.to_dict()
        home = homes.setdefault(id(model.backbone), role)
        if home == role:
            write_transformer(model, place)
            write_module_settings(place, model.spec, config)
            types[home] = TRANSFORMER_TYPE
        layers = write_layers(place, model.spec, model.head, int(config["hidden_size"]))
        types |= {f"{role}/{name}": kind for name, kind in layers}
        routes[role] = [home, *(f"{role}/{name}" for name, _ in layers)]
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(folder / ROUTER_NAME, {"types": types, "structure": routes, "parameters": parameters})
    write_module_list(folder, [("", _ROUTER_TYPE)])
