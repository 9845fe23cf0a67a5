"""What a run computes in. `run.dtype: auto` is settled when the run begins, and a resumed run keeps what it was."""

from pathlib import Path
from typing import Literal

import torch

from slimvec.model.dtypes import compute_dtype, slowness
from slimvec.training.recipe import Recipe, Run
from slimvec.training.recipe.reading import read_recipe
from slimvec.training.step.processes import Processes

DtypeName = Literal["bf16", "fp32"]
_DTYPES: dict[DtypeName, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


def run_dtype(run: Run) -> torch.dtype:
    """Give the dtype of a run; `auto` is what this machine computes in."""
    return compute_dtype() if run.dtype == "auto" else _DTYPES[run.dtype]


def run_slowness(recipe: Recipe) -> str:
    """Say by what factor the dtype that a recipe asks for is slow on this machine; empty where it is not."""
    dtypes = {run_dtype(stage.recipe.run) for stage in recipe.stage_recipes()}
    return next((line for dtype in dtypes if (line := slowness(dtype))), "")


def settled(recipe: Recipe, *, begun: Path | None = None) -> Recipe:
    """Write what `auto` stands for into a recipe and its stages.

    Args:
        recipe: The settings.
        begun: Recipe of the run as it was begun, if it was: its dtype is kept on any machine.

    Raises:
        InputError: that recipe cannot be read.
    """
    asked = [recipe.run.dtype, *((stage.run or {}).get("dtype") for stage in recipe.stages)]
    if "auto" not in asked:
        return recipe
    name = _kept(begun) or _machine_dtype()
    changes: dict[str, object] = {}
    if recipe.run.dtype == "auto":
        changes["run"] = recipe.run.model_copy(update={"dtype": name})
    if recipe.stages:
        changes["stages"] = tuple(
            stage.model_copy(update={"run": {**stage.run, "dtype": name}})
            if stage.run and stage.run.get("dtype") == "auto"
            else stage
            for stage in recipe.stages
        )
    return recipe.model_copy(update=changes)


def _kept(begun: Path | None) -> DtypeName | None:
    """Give the dtype of a run that was begun."""
    if begun is None or not begun.is_file():
        return None
    found = read_recipe(begun).run.dtype
    return None if found == "auto" else found


def _machine_dtype() -> DtypeName:
    """Give the name of what `auto` stands for, the same one in all processes."""
    found = compute_dtype()
    return Processes.current().from_main(next(name for name, dtype in _DTYPES.items() if dtype == found))
