"""Reading and writing recipes: YAML with line numbers in its errors, and `section.key=value` overrides."""

import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, PlainSerializer, ValidationError
from pydantic_core import ErrorDetails

from slimvec.errors import InputError, plain_expectation
from slimvec.training.recipe import ContradictionError, Objective, Recipe, StageError
from slimvec.training.recipe.objectives import TextObjective
from slimvec.yaml_files import compose_yaml, read_text, read_yaml

KeyPath = tuple[str | int, ...]
Branch = dict[str, Any] | list[Any]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Relative paths of data files are meant from the working directory, as everywhere on the command line.

    Args:
        path: YAML.
        overrides: `section.key=value` each, values as YAML writes them; `data.0.limit=100` reaches into lists.

    Raises:
        InputError: the file is missing, is no YAML, has unknown or repeated keys, or settings that are wrong
            or contradict each other; the message names file and line.
    """
    return parse_recipe(read_text(path, "a recipe, a YAML file"), name=str(path), overrides=overrides)


def parse_recipe(text: str, *, name: str = "recipe", overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from YAML text. Arguments and errors as for `read_recipe`; `name` stands for the file."""
    root = compose_yaml(text, name)
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{name} holds no settings", expected=f"sections {', '.join(Recipe.model_fields)}")
    lines = dict(_lines(root, ()))
    tree = read_yaml(text, name)
    for override in overrides:
        lines[_override(tree, override)] = override
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _input_error(error, name, lines) from None


def recipe_yaml(recipe: Recipe) -> str:
    """Write a recipe as YAML that reads back as the same recipe."""
    return yaml.safe_dump(recipe_tree(recipe), sort_keys=False, allow_unicode=True)


def recipe_tree(recipe: Recipe) -> dict[str, Any]:
    """Write a recipe as a tree of plain values that reads back as the same recipe.

    Defaults are written too, but for the model's: what is not given there comes from the base, and shall again. Nor are
    limits of texts that were not given, since a model may have a lower one, and given ones must not be above it. With
    stages nothing is added to what was given, so that each stage still changes what it changed.
    """
    if recipe.stages:
        return recipe.model_dump(mode="json", exclude_unset=True)
    given = recipe.model_dump(mode="json", exclude_none=True)
    given["model"] = recipe.model.model_dump(mode="json", exclude_unset=True)
    for key in {"max_query_tokens", "max_document_tokens"} - recipe.batch.model_fields_set:
        del given["batch"][key]
    if recipe.adaptation is not None and "max_tokens" not in recipe.adaptation.model_fields_set:
        del given["adaptation"]["max_tokens"]
    if isinstance(recipe.objective, TextObjective) and "max_tokens" not in recipe.objective.model_fields_set:
        del given["objective"]["max_tokens"]
    if recipe.tuning.method == "full":
        given["tuning"] = recipe.tuning.model_dump(include={"method", "keep_language_model"})
    return given


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """Write a recipe as `recipe_tree` does, for JSON, which has no infinity: it becomes a string that reads back."""
    written: dict[str, Any] = _without_infinity(recipe_tree(recipe))
    return written


WrittenRecipe = Annotated[Recipe, PlainSerializer(recipe_json)]
"""A recipe in a record, where it is written so that it reads back."""


def _without_infinity(tree: Any) -> Any:
    """Write infinite numbers of a tree as strings."""
    if isinstance(tree, dict):
        return {key: _without_infinity(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_infinity(value) for value in tree]
    return "Infinity" if tree == math.inf else tree


def _lines(node: yaml.Node, place: KeyPath) -> Iterator[tuple[KeyPath, int | str]]:
    """Yield the line of every key and list item."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*place, key.value), key.start_mark.line + 1
            yield from _lines(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, (*place, index))


def _override(tree: Branch, override: str) -> KeyPath:
    """Write one override into the tree, and give the place it went to.

    Raises:
        InputError: not of the form `section.key=value`, or nothing is where it points.
    """
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise InputError(f"override {override!r}", expected="section.key=value, as in optim.lr=0.001")
    parsed = read_yaml(value, f"the value of override {override!r}")
    place: list[str | int] = []
    for key in keys[:-1]:
        place.append(_index(tree, key, override))
        below = tree[place[-1]]  # type: ignore[index]  # _index has matched it to the kind of branch
        if below is None and isinstance(tree, dict):
            below = tree[key] = {}
        tree = below
    place.append(_index(tree, keys[-1], override))
    tree[place[-1]] = parsed  # type: ignore[index]
    return tuple(place)


def _index(tree: object, key: str, override: str) -> str | int:
    """Give the index that a key of an override stands for; keys of a mapping may be new.

    Raises:
        InputError: the branch has no such place.
    """
    if isinstance(tree, dict):
        tree.setdefault(key, None)
        return key
    if isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
        return int(key)
    raise InputError(f"override {override!r}: the recipe has no {key!r} at that place")


def _input_error(error: ValidationError, name: str, lines: dict[KeyPath, int | str], *, within: str = "") -> InputError:
    """Turn pydantic's findings into one line: the first of them, and how many more there are."""
    details = error.errors()
    first = details[0]
    if isinstance(stage := first.get("ctx", {}).get("error"), StageError):
        return _input_error(stage.error, name, _stage_lines(lines, stage.index), within=f"stage {stage.index + 1}: ")
    place = _place(first)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    where = f"{_where(name, place, lines)}: {within}"
    key = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return InputError(
            f"{where}unknown key {key!r}{more}",
            expected=f"one of {', '.join(known)}",
            do=_suggestion(str(place[-1]), known),
        )
    if first["type"] == "missing":
        return InputError(f"{where}{key} is missing{more}", do=f"add {key}")
    if first["type"].startswith("union_tag"):
        return _tag_error(first, where, key)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return InputError(f"{where}{cause}{more}")
    return InputError(f"{where}{key} is {first['input']!r}{more}", expected=plain_expectation(first["msg"]))


def _tag_error(detail: ErrorDetails, where: str, key: str) -> InputError:
    """Say that a section told apart by its kind has none, or one that is not known."""
    given = detail["input"].get("kind") if isinstance(detail["input"], dict) else detail["input"]
    found = f"{key}.kind is missing" if given is None else f"{key}.kind is {given!r}"
    known = (get_args(kind.model_fields["kind"].annotation)[0] for kind in _section_types(Objective))
    return InputError(f"{where}{found}", expected=f"one of {', '.join(known)}")


def _stage_lines(lines: dict[KeyPath, int | str], index: int) -> dict[KeyPath, int | str]:
    """Give the lines of a stage's recipe: its own, and the recipe's for what it leaves as it is."""
    own = {place[2:]: line for place, line in lines.items() if place[:2] == ("stages", index) and len(place) > 2}
    replaced = {place[0] for place in own if len(place) > 1 and isinstance(place[1], int)}
    kept = {place: line for place, line in lines.items() if place[0] not in ({"stages"} | replaced)}
    return {**kept, **own, (): lines[("stages", index)]}


def _place(detail: ErrorDetails) -> KeyPath:
    """Find the keys that a finding is about; a contradiction names its own within the section."""
    cause = detail.get("ctx", {}).get("error")
    inner = cause.key.split(".") if isinstance(cause, ContradictionError) and cause.key else []
    loc = detail["loc"]
    if loc[:1] == ("objective",):  # the kind stands between the section and its key
        loc = (*loc[:1], *loc[2:])
    return (*loc, *(int(key) if key.isdigit() else key for key in inner))


def _where(name: str, place: KeyPath, lines: dict[KeyPath, int | str]) -> str:
    """Give the line of the place or of the nearest section around it, or the override that set it."""
    for length in range(len(place), -1, -1):
        line = lines.get(place[:length])
        if line is not None:
            return f"override {line!r}" if isinstance(line, str) else f"{name}, line {line}"
    return name


def _known_keys(place: KeyPath) -> list[str]:
    """List the keys of the section at a place, as pydantic gives it: with the kind behind `objective`."""
    models: list[type[BaseModel]] = [Recipe]
    for part in place:
        if isinstance(part, str) and part in models[0].model_fields:
            models = _section_types(models[0].model_fields[part].annotation)
        elif len(models) > 1:
            models = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
    return list(models[0].model_fields)


def _section_types(annotation: object) -> list[type[BaseModel]]:
    """Find the model classes within an annotation such as `tuple[Source, ...]` or `Mapping[str, Task]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _section_types(part)]


def _suggestion(key: str, known: list[str]) -> str:
    """Name the known key nearest to an unknown one, if any is near."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ""
