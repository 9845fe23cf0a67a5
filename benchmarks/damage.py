"""Damage done to a model folder, at random from a seed: keys dropped, doubled and retyped, tensors too, files cut."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 1000, 0.5, -0.5, float("inf"), "", "x", "7", "mean", [], [1], ["x"], {},
    {"a": 1},
)  # fmt: skip
_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
_DEEP = 400
"""Most places of a JSON file that are drawn from: a vocabulary would take all draws else."""


def damage(folder: Path, draw: random.Random) -> str:
    """Damage one file of a folder, or two, and say how."""
    count = 1 if draw.random() < 0.8 else 2
    return "; ".join(_one(folder, draw) for _ in range(count))


def damage_file(path: Path, draw: random.Random) -> str:
    """Damage a file of bytes: cut, emptied, made a pointer, or with some bytes changed."""
    content = bytearray(path.read_bytes())
    kind = draw.choice(("cut", "cut", "empty", "pointer", "bytes"))
    if kind == "cut":
        content = content[: draw.randrange(len(content) + 1)]
    elif kind == "empty":
        content = bytearray()
    elif kind == "pointer":
        content = bytearray(_LFS)
    else:
        for _ in range(draw.choice((1, 4, 64))):
            if content:
                content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    return f"{path.name}: {kind}"


def _one(folder: Path, draw: random.Random) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ("README.md",))
    if not files:
        return "nothing left to damage"
    settings = [path for path in files if path.suffix == ".json" and path.name not in ("golden.json",)]
    tensors = [path for path in files if path.suffix == ".safetensors"]
    kind = draw.choices(("settings", "tensors", "bytes", "remove"), (70, 15, 10, 5))[0]
    if kind == "settings" and settings:
        return _settings(draw.choice(settings), folder, draw)
    if kind == "tensors" and tensors:
        return _tensors(draw.choice(tensors), draw)
    path = draw.choice(files)
    if kind == "remove":
        path.unlink()
        return f"{path.relative_to(folder)}: removed"
    return damage_file(path, draw)


def _settings(path: Path, folder: Path, draw: random.Random) -> str:
    name = str(path.relative_to(folder))
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return f"{name}: damaged already"
    places = list(_places(content))[:_DEEP]
    if not places:
        path.write_text(json.dumps(draw.choice(_VALUES)))
        return f"{name}: replaced"
    holder, key = draw.choice(places)
    kind = draw.choice(("drop", "retype", "retype", "retype", "double", "swap"))
    what = f"{name}: {kind} {key!r}"
    if kind == "drop":
        del holder[key]
    elif kind == "retype":
        holder[key] = draw.choice(_VALUES)
        what += f" to {holder[key]!r}"
    elif kind == "double" and isinstance(holder, list):
        holder.append(holder[key])
    elif kind == "double":
        holder[f"{key}_2"] = holder[key]
    else:
        other, place = draw.choice(places)
        if other is not holder and isinstance(other, list) and place >= len(other):
            return f"{name}: left"
        holder[key], other[place] = json.loads(json.dumps(other[place])), json.loads(json.dumps(holder[key]))
        what += f" with {place!r}"
    path.write_text(json.dumps(content))
    return what


def _places(content: Any) -> Any:
    """Give holder and key of every value in a JSON document, the outer ones first."""
    level = [content]
    while level:
        deeper = []
        for holder in level:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
            for key in keys:
                yield holder, key
                deeper.append(holder[key])
        level = deeper


def _tensors(path: Path, draw: random.Random) -> str:
    try:
        tensors = load_file(path)
    except Exception:  # damaged already, in any way
        return f"{path.name}: damaged already"
    if not tensors:
        return f"{path.name}: no tensors"
    name = draw.choice(sorted(tensors))
    kind = draw.choice(sorted(_TENSOR_CHANGES))
    _TENSOR_CHANGES[kind](tensors, name)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, {"format": "pt"})
    return f"{path.name}: {kind} {name}"


def _drop(tensors: dict[str, torch.Tensor], name: str) -> None:
    del tensors[name]


def _nan(tensors: dict[str, torch.Tensor], name: str) -> None:
    if tensors[name].is_floating_point():
        tensors[name] = tensors[name].clone()
        tensors[name].view(-1)[0] = float("nan")


def _set(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, torch.Tensor], str], None]:
    def apply(tensors: dict[str, torch.Tensor], name: str) -> None:
        tensors[name] = change(tensors[name])

    return apply


def _rename(change: Callable[[str], str]) -> Callable[[dict[str, torch.Tensor], str], None]:
    def apply(tensors: dict[str, torch.Tensor], name: str) -> None:
        tensors[change(name)] = tensors.pop(name)

    return apply


def _prefix_all(tensors: dict[str, torch.Tensor], _: str) -> None:
    for name in list(tensors):
        tensors[f"encoder_q.{name}"] = tensors.pop(name)


_TENSOR_CHANGES: dict[str, Callable[[dict[str, torch.Tensor], str], None]] = {
    "drop": _drop,
    "double": lambda tensors, name: tensors.update({f"{name}_2": tensors[name].clone()}),
    "next layer": lambda tensors, name: tensors.update({name.replace(".1.", ".9."): tensors[name].clone()}),
    "rename": _rename(lambda name: f"x.{name}"),
    "prefix all": _prefix_all,
    "nan": _nan,
    "cut": _set(lambda tensor: tensor[:-1].clone()),
    "transpose": _set(lambda tensor: tensor.t().clone() if tensor.dim() == 2 else tensor[None].clone()),
    "half": _set(lambda tensor: tensor.half()),
    "double width": _set(lambda tensor: tensor.double()),
    "integers": _set(lambda tensor: (tensor * 100).to(torch.int8)),
    "zeros": _set(torch.zeros_like),
}
