"""`modules.json` of sentence-transformers, read: the pooling of a model and the layers behind it.

A type is known by its whole name, in every spelling that sentence-transformers has had for it. The modules are a
Transformer, a Pooling, and any of Dense, LayerNorm, Dropout and Normalize behind it; a Router whose routes are one and
the same list of modules stands for that list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from slimvec.errors import ModelError, validation_summary
from slimvec.model.json_files import read_json, read_object
from slimvec.model.spec import (
    Activation,
    DenseLayer,
    DropoutLayer,
    HeadLayer,
    NormLayer,
    Pooling,
    PoolingMode,
    UnitLayer,
)

MODULES_NAME = "modules.json"
BETA_POOLING_TYPE = "slimvec.model.beta_pooling.BetaPooling"
POOLING_KEYS: dict[PoolingMode, str] = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "weighted": "pooling_mode_weightedmean_tokens",
    "last": "pooling_mode_lasttoken",
}
_PLAIN_NAMES = {"cls": "cls", "mean": "mean", "weightedmean": "weighted", "lasttoken": "last"}
_KINDS = {
    "Transformer": "transformer",
    "Pooling": "pooling",
    "Dense": "dense",
    "LayerNorm": "layer_norm",
    "Dropout": "dropout",
    "Normalize": "normalize",
    "Router": "router",
    "Asym": "router",
}
_PLACES = ("sentence_transformers.sentence_transformer.modules", "sentence_transformers.base.modules")
_TYPES = {
    spelling: name
    for name, file in _KINDS.items()
    for spelling in (
        f"sentence_transformers.models.{name}",
        f"sentence_transformers.models.{name}.{name}",
        *(f"{place}.{name}" for place in _PLACES),
        *(f"{place}.{file}.{name}" for place in _PLACES),
    )
}
_Setting = TypeVar("_Setting", Pooling, DenseLayer, NormLayer, DropoutLayer)
_SERVED = "Transformer, Pooling, then any of Dense, LayerNorm, Dropout, Normalize"
_VECTOR = "sentence_embedding"


@dataclass(frozen=True)
class Module:
    """A module of a folder: its kind, by the name of its class, and where its files lie."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class Modules:
    """What `modules.json` of a folder comes to.

    Attributes:
        transformer: Folder of the transformers files.
        pooling: How states become one vector.
        head: Layers behind it but for a Normalize that comes last.
        head_folders: Folders of those layers.
        normalize: Whether a Normalize comes last.
        all: The modules in their order.
    """

    transformer: Path
    pooling: Pooling
    head: tuple[HeadLayer, ...]
    head_folders: tuple[Path, ...]
    normalize: bool
    all: tuple[Module, ...]


def read_modules(folder: Path) -> Modules:
    """Read the modules of a folder that has a `modules.json`.

    Raises:
        ModelError: the file cannot be read; a module, an order or a setting of one that is not served.
    """
    modules = _flat(list_modules(folder), folder)
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or {"Transformer", "Pooling", "Router"} & {*kinds[2:]}:
        raise ModelError(f"{folder / MODULES_NAME} has modules {', '.join(kinds)}", expected=_SERVED)
    behind = list(modules[2:])
    normalize = bool(behind) and behind[-1].kind == "Normalize"
    if normalize:
        _layer(behind.pop())  # its settings are read, to be refused where they say something else
    return Modules(
        transformer=modules[0].folder,
        pooling=read_pooling(modules[1].folder / "config.json"),
        head=tuple(_layer(module) for module in behind),
        head_folders=tuple(module.folder for module in behind),
        normalize=normalize,
        all=tuple(modules),
    )


def list_modules(folder: Path) -> list[Module]:
    """List the modules of a folder, as `modules.json` has them.

    Raises:
        ModelError: the file cannot be read or has a module of unknown type.
    """
    path = folder / MODULES_NAME
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path} is not a list of modules", expected='[{"idx": 0, "path": "", "type": ...}, ...]')
    return [_module(folder, entry.get("type"), entry.get("path"), path) for entry in entries]


def _module(folder: Path, kind: Any, place: Any, path: Path) -> Module:
    """Read one entry of a list of modules."""
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ModelError(
            f"{path} has a module of type {kind!r}",
            expected=f"{_SERVED}, all of sentence_transformers",
        )
    if not isinstance(place, str) or Path(place).is_absolute() or ".." in Path(place).parts:
        raise ModelError(f"{path} has the path {place!r}", expected="a folder inside the model's")
    return Module(_TYPES[kind], folder / place)


def _flat(modules: Sequence[Module], folder: Path) -> list[Module]:
    """Put the modules of a router in its place, if its routes are all the same.

    Raises:
        ModelError: they are not, or one is no text's.
    """
    found: list[Module] = []
    for module in modules:
        if module.kind not in ("Router", "Asym"):
            found.append(module)
            continue
        path = module.folder / "router_config.json"
        content = read_object(path if path.is_file() else module.folder / "config.json")
        types, routes = content.get("types"), content.get("structure")
        if not isinstance(types, dict) or not isinstance(routes, dict) or not routes:
            raise ModelError(f"{path} has no routes", expected="types and structure, as sentence-transformers writes")
        lists = list(routes.values())
        if any(route != lists[0] for route in lists):
            raise ModelError(
                f"{folder / MODULES_NAME} has a Router with different modules for {', '.join(map(str, routes))}",
                expected="the same modules on every route",
                do="use the folders of its routes one by one",
            )
        found += [_module(module.folder, types.get(name), name, path) for name in lists[0]]
    return found


def read_pooling(path: Path) -> Pooling:
    """Read the settings of a Pooling module, in the old form (`pooling_mode_*`) or the new (`pooling_mode`).

    Raises:
        ModelError: another pooling than slimvec's, or several.
    """
    content = read_object(path)
    if "pooling_mode" in content:
        names = content["pooling_mode"]
        modes = [_PLAIN_NAMES.get(name, name) for name in (names if isinstance(names, list) else [names])]
    else:
        known = {key: name for name, key in POOLING_KEYS.items()}
        modes = [known.get(key, key) for key, on in content.items() if key.startswith("pooling_mode_") and on]
        modes = modes or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLING_KEYS:
        raise ModelError(f"{path} pools by {modes}", expected="one of cls, mean, weightedmean, lasttoken")
    return _checked(Pooling, path, mode=modes[0], include_prompt=content.get("include_prompt", True))


def _layer(module: Module) -> HeadLayer:
    """Read the settings of a module behind the pooling.

    Raises:
        ModelError: one that is not served.
    """
    path = module.folder / "config.json"
    content = read_object(path, missing=module.kind in ("Normalize", "Dropout"))
    for key in ("module_input_name", "module_output_name"):
        if content.get(key) not in (None, _VECTOR):
            raise ModelError(f"{path} has {key} {content[key]!r}", expected=_VECTOR)
    if module.kind == "Normalize":
        return UnitLayer()
    if module.kind == "Dropout":
        return _checked(DropoutLayer, path, rate=content.get("dropout", 0.2))
    if module.kind == "LayerNorm":
        return _checked(NormLayer, path, dims=content.get("dimension"))
    return _checked(
        DenseLayer,
        path,
        in_dims=content.get("in_features"),
        out_dims=content.get("out_features"),
        bias=content.get("bias", True),
        activation=_activation(content.get("activation_function", "torch.nn.modules.activation.Tanh"), path),
        residual=content.get("use_residual", False),
    )


def _activation(name: Any, path: Path) -> str:
    """Give the name in `torch.nn` of an activation.

    Raises:
        ModelError: it is none of torch's, or has weights.
    """
    short = name.rpartition(".")[2] if isinstance(name, str) and name.startswith("torch.nn.") else None
    if short not in get_args(Activation):
        raise ModelError(f"{path} has activation_function {name!r}", expected="one of torch.nn's without weights")
    return str(short)


def _checked(kind: type[_Setting], path: Path, **values: Any) -> _Setting:
    """Build a typed setting from a file's values.

    Raises:
        ModelError: they do not fit.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise ModelError(f"{path}: {validation_summary(error)}", expected="settings of its module") from error
