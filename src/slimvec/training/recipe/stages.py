"""Stages of a recipe: what each changes in the recipe's own sections, and how the two are put together."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from slimvec.frozen import Section
from slimvec.training.recipe.run import LENGTHS

Tree = dict[str, Any]

KINDS = ("method", "mode")
"""Keys that decide what else a section may hold: another one replaces its section."""


class Stage(Section):
    """What a stage changes. It starts from the result of the one before.

    The sections are kept as they are written, and mean something only over the recipe's own: settings that are not
    named stay, lists are replaced, null takes a section away. A section that gets another `method` or `mode` is
    replaced, as is an objective of another kind, and a length takes the place of the recipe's.

    Attributes:
        name: Name of the stage, for metrics and messages.
        model: Changes, likewise all below.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    model: Tree | None = None
    tuning: Tree | None = None
    data: list[Tree] | None = None
    objective: Tree = Field(default={}, exclude_if=lambda tree: not tree)
    adaptation: Tree | None = None
    loss: Tree | None = None
    optim: Tree | None = None
    batch: Tree | None = None
    run: Tree | None = None
    validation: Tree | None = None

    def over(self, recipe: Mapping[str, Any]) -> Tree:
        """Put the changes over a recipe's tree, which stays as it is."""
        given = {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set - {"name"}}
        kept = {key: value for key, value in recipe.items() if given.get(key, value) is not None}
        if _is_other_kind(self.objective, recipe.get("objective")):
            kept.pop("objective", None)
        return merged(kept, {key: value for key, value in given.items() if value is not None})


def _is_other_kind(objective: Tree, before: Tree | None) -> bool:
    """Whether an objective, as it is written, is of another kind than the one before."""
    own = (before or {}).get("kind", "contrastive")
    return bool(objective.get("kind", own) != own)


class StageError(ValueError):
    """A stage that is no valid recipe when put over the recipe's own sections.

    Args:
        index: Number of the stage, from 0.
        error: What is wrong with it; its places are those of a recipe.
    """

    def __init__(self, index: int, error: ValidationError) -> None:
        self.index = index
        self.error = error
        super().__init__(f"stage {index + 1}: {error}")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Put one tree over another, mapping by mapping; neither changes."""
    if any(key in above and above[key] != below.get(key) for key in KINDS):
        return dict(above)
    kept = dict(below)
    if any(key in above for key in LENGTHS):  # one is given: it takes the place of the others
        kept = {key: value for key, value in kept.items() if key not in LENGTHS}
    for key, value in above.items():
        inner = kept.get(key)
        kept[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return kept
