"""The options of a command, as its docstring describes them.

A line each under `Positional:` or `Options:`: the parameter's name, flags where they are not those of its name, what
stands for the value, limits in brackets, and the help:

    output -o DIR: Where to write.
    weight W (0 to 1): Share of the likelihood. What does not fit on the line goes on
        in the next, further in.
    cache --cache/--no-cache: Keep the vectors.

That an option can be given several times is added to the help of every list. What several commands share is described
once, in `slimvec.cli.options`. A parameter whose type is a dataclass stands for its fields, which the class's docstring
describes.
"""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

from slimvec.cli.options import NAMES, SHARED

_SECTION = re.compile(r"^(Positional|Options):$", re.MULTILINE)
_ENTRY = re.compile(
    r"(?P<name>\w+)(?P<flags>(?: --?[\w/-]+)*)(?: (?P<metavar>[^ (]+))?(?: \((?P<limits>[^)]*)\))?: (?P<help>.+)"
)
_LIMITS = re.compile(r"from (?P<least>\S+)|(?P<min>\S+) to (?P<max>\S+)")


@dataclass(frozen=True)
class Described:
    """A command as its docstring describes it.

    Attributes:
        prose: What the docstring says beside its parameters.
        parameters: As typer takes them, without the terminal; those of a dataclass in its place.
        groups: Dataclasses by the parameter that they stand for.
    """

    prose: str
    parameters: tuple[inspect.Parameter, ...]
    groups: Mapping[str, type]

    def grouped(self, values: dict[str, Any]) -> dict[str, Any]:
        """Put values of a command line into the dataclasses they belong to."""
        made = {
            name: group(**{field: values.pop(field) for field in inspect.signature(group).parameters})
            for name, group in self.groups.items()
        }
        return values | made


def describe(command: Callable[..., Any]) -> Described:
    """Read what a command takes.

    Args:
        command: Its first parameter is the terminal.

    Raises:
        ValueError: a parameter is not described, or a description is of another form or of no parameter.
    """
    prose, entries = _split(inspect.getdoc(command) or "")
    groups: dict[str, type] = {}
    found: dict[str, inspect.Parameter] = {}
    for parameter in [*inspect.signature(command, eval_str=True).parameters.values()][1:]:
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            found |= inspect.signature(parameter.annotation).parameters
            entries = _split(inspect.getdoc(parameter.annotation) or "")[1] | entries
        else:
            found[parameter.name] = parameter
    name = command.__name__
    if unknown := entries.keys() - found.keys():
        raise ValueError(f"{name} describes {', '.join(sorted(unknown))}, which it does not take")
    return Described(prose, tuple(_as_typer(name, parameter, entries) for parameter in found.values()), groups)


def _as_typer(command: str, parameter: inspect.Parameter, entries: "Mapping[str, _Entry]") -> inspect.Parameter:
    """Give a parameter as typer takes it."""
    annotation, entry = parameter.annotation, entries.get(parameter.name) or _SHARED.get(parameter.name)
    if entry is None:
        raise ValueError(f"{command} does not describe {parameter.name}")
    repeated = any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))
    annotation = Annotated[annotation, entry.as_typer(parameter.name, repeated=repeated)]
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


@dataclass(frozen=True)
class _Entry:
    """What is said about a parameter, in the parts of its line."""

    is_argument: bool
    flags: tuple[str, ...]
    metavar: str | None
    limits: str
    help: str

    def as_typer(self, name: str, *, repeated: bool) -> Any:
        """Give typer's description of it, which says so where an option may be repeated."""
        more: dict[str, Any] = {"help": self.help, "metavar": self.metavar, "hidden": self.limits == "hidden"}
        more["callback"] = _finite
        if found := _LIMITS.fullmatch(self.limits):
            limits = {"min": found["least"] or found["min"], "max": found["max"]}
            more |= {key: float(text) if "." in text else int(text) for key, text in limits.items() if text}
        if self.is_argument:
            return typer.Argument(**more)
        named = any(flag.startswith("--") for flag in self.flags)
        more["help"] += " Can be given several times." if repeated else ""
        return typer.Option(*(() if named else (f"--{name.replace('_', '-')}",)), *self.flags, **more)


def _finite(value: Any) -> Any:
    """Refuse infinity, and NaN where there are no limits that it fails."""
    if isinstance(value, float) and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


def _split(text: str) -> tuple[str, dict[str, _Entry]]:
    """Split a docstring into its prose and the entries of parameters."""
    prose, *sections = _SECTION.split(text)
    entries = {}
    for kind, section in zip(sections[::2], sections[1::2], strict=True):
        for line in re.sub(r"\n {8}", " ", section).strip().splitlines():
            found = _ENTRY.fullmatch(line.strip())
            if found is None:
                raise ValueError(f"{line.strip()!r} describes no parameter")
            if found["limits"] not in (None, "hidden") and not _LIMITS.fullmatch(found["limits"]):
                raise ValueError(f"({found['limits']}) of {found['name']} are no limits: from N, N to N, or hidden")
            help_ = re.sub(r"\{([A-Z_]+)\}", lambda match: NAMES.get(match[1], match[0]), found["help"])
            entries[found["name"]] = _Entry(
                kind == "Positional", tuple(found["flags"].split()), found["metavar"], found["limits"] or "", help_
            )
    return prose.strip(), entries


_SHARED = _split(SHARED)[1]
