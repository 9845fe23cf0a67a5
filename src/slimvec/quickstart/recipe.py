"""The recipe of the quickstart, as the time that is left lets it be."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from slimvec.quickstart.pace import Pace
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.reading import parse_recipe

_NAME = "recipe.yaml"


def quickstart_recipe(
    base: str, data: Path, *, seed: int, settings: Sequence[str] = (), pace: Pace | None = None
) -> Recipe:
    """Give the recipe a quickstart trains with.

    Args:
        base: The language model to start from.
        data: The pairs.
        seed: Random seed for the data's order and the adapter.
        settings: `section.key=value` over the recipe.
        pace: What fits the time; before that is known, the recipe is as it would be with enough of it.

    Raises:
        InputError: a setting that does not fit.
    """
    text = files("slimvec.quickstart").joinpath(_NAME).read_text(encoding="utf-8")
    given = [f"base.source={json.dumps(base)}", f"data.0.path={json.dumps(str(data))}", f"run.seed={seed}"]
    if pace is not None:
        given += [
            f"run.max_minutes={pace.training_seconds / 60:.3f}",
            f"batch.pairs={pace.pairs}",
            f"batch.max_document_tokens={pace.document_tokens}",
        ]
    return parse_recipe(text, name=_NAME, overrides=[*given, *settings])
