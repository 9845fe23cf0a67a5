"""`modules.json` of sentence-transformers, read: the pooling of a model and the layers behind it.

A type is known by its whole name, in every spelling that sentence-transformers has had for it. The modules are a
Transformer, a Pooling, and any of Dense, LayerNorm, Dropout and Normalize behind it; a Router stands for the modules of
the route that texts of a role take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from slimvec.errors import ModelError
from slimvec.frozen import checked
from slimvec.model.json_files import read_json, read_object
from slimvec.model.router import Router, read_router
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
from slimvec.text.prompts import ROLES, Role

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
        routers: Routers that stood in their place.
    """

    transformer: Path
    pooling: Pooling
    head: tuple[HeadLayer, ...]
    head_folders: tuple[Path, ...]
    normalize: bool
    all: tuple[Module, ...]
    routers: tuple[Router, ...]


def has_routes(folder: Path) -> bool:
    """Whether queries run through other modules than documents in a folder that has a `modules.json`.

    Raises:
        ModelError: as for `read_modules`.
    """
    queries, documents = (_flat(list_modules(folder), role)[0] for role in ROLES)
    return queries != documents


def read_modules(folder: Path, role: Role = "document") -> Modules:
    """Read the modules of a folder that has a `modules.json`.

    Args:
        folder: The folder.
        role: Role of the texts, by which a Router chooses.

    Raises:
        ModelError: the file cannot be read; a module, an order or a setting of one that is not served.
    """
    modules, routers = _flat(list_modules(folder), role)
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
        routers=tuple(routers),
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


def _flat(modules: Sequence[Module], role: Role) -> tuple[list[Module], list[Router]]:
    """Put the modules that texts of a role run through in the place of each router; give the routers too.

    Raises:
        ModelError: a router has no route for the role, or cannot be read.
    """
    found: list[Module] = []
    routers: list[Router] = []
    for module in modules:
        if module.kind in ("Router", "Asym"):
            routers.append(read_router(module.folder))
            named = routers[-1].modules(role)
            found += [_module(module.folder, kind, name, routers[-1].path) for name, kind in named]
        else:
            found.append(module)
    return found, routers


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
    with checked(f"{path}: ", expected="settings of its module", kind=ModelError):
        return kind(**values)
