"""The layers of a head as module folders of sentence-transformers: `2_Dense/config.json` and its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from slimvec.model.head import Head, head_tensors, load_tensors
from slimvec.model.json_files import write_json
from slimvec.model.spec import DenseLayer, DropoutLayer, HeadLayer, ModelSpec, NormLayer
from slimvec.model.weight_files import WeightFiles
from slimvec.text.prompts import Role

_NAMES = {"dense": "Dense", "layer_norm": "LayerNorm", "dropout": "Dropout", "normalize": "Normalize"}
_BEFORE = 2
"""Modules ahead of a head in the folders that slimvec writes: transformer and pooling."""


def layer_folder(number: int, layer: HeadLayer) -> str:
    """Name of the folder that slimvec gives the `number`th layer of a head."""
    return f"{number + _BEFORE}_{_NAMES[layer.kind]}"


def route_home(folder: Path, roles: Sequence[Role]) -> Path:
    """Folder of the transformers files that texts in `roles` run through, in a folder that slimvec wrote.

    Both roles share it, or each has one called as the role; queries without one of their own use that of documents.
    """
    if len(roles) > 1:
        return folder
    own = folder / roles[0]
    return own if (own / "config.json").is_file() else folder / "document"


def module_type(layer: HeadLayer) -> str:
    """What sentence-transformers calls a layer."""
    return f"sentence_transformers.models.{_NAMES[layer.kind]}"


def write_head(folder: Path, head: Head) -> list[tuple[str, str]]:
    """Write the layers of a head into a model folder.

    Returns:
        Folder and type of each, as `modules.json` lists them.
    """
    entries = []
    for number, (layer, tensors) in enumerate(zip(head.specs, head_tensors(head), strict=True)):
        name = layer_folder(number, layer)
        (folder / name).mkdir()
        if settings := _settings(layer):
            write_json(folder / name / "config.json", settings)
        if tensors:
            save_file(
                {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}, folder / name / "model.safetensors"
            )
        entries.append((name, module_type(layer)))
    return entries


def _settings(layer: HeadLayer) -> dict[str, Any]:
    """Give the content of a layer's `config.json`; empty where it has none."""
    if isinstance(layer, DenseLayer):
        place = "linear" if layer.activation == "Identity" else "activation"
        content = {
            "in_features": layer.in_dims,
            "out_features": layer.out_dims,
            "bias": layer.bias,
            "activation_function": f"torch.nn.modules.{place}.{layer.activation}",
        }
        return content | ({"use_residual": True} if layer.residual else {})
    if isinstance(layer, NormLayer):
        return {"dimension": layer.dims}
    return {"dropout": layer.rate} if isinstance(layer, DropoutLayer) else {}


def load_head(folders: Sequence[Path], spec: ModelSpec, width: int) -> Head:
    """Build the head of a model and read its weights.

    Args:
        folders: Folders of its layers, in their order.
        spec: The model's settings.
        width: Width of the backbone's states.

    Raises:
        ModelError: the layers do not fit together, or weights are missing, left over or of another shape.
    """
    head = Head(spec.head, width)
    for number, folder in enumerate(folders):
        if head.layers[number].state_dict():
            files = WeightFiles(folder)
            files.check_finite()
            load_tensors(head, number, {name: files.read(name) for name in files.names}, str(files.paths[0]))
    return head.eval().requires_grad_(False)
