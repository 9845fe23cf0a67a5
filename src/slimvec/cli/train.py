"""`slimvec train`: a model trained as a recipe says."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.options import ForceOption
from slimvec.cli.progress import clock
from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.training import run_training
from slimvec.files import check_free

KEYS = {
    "output": "the model's folder",
    "steps": "optimiser steps in all, those before a resumption included",
    "tokens": "tokens taken in, prompts included",
    "num_truncated": "texts that lost their end",
    "num_trained": "numbers trained (parameters that moved)",
    "first_loss": "loss of the first step of this run; null if none was left",
    "last_loss": "loss of the last step",
    "seconds": "of training, without loading and saving",
}


def train(
    terminal: Terminal,
    *,
    recipe: Annotated[Path, typer.Argument(help="A recipe in YAML.", metavar="RECIPE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the model's folder shall appear.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings that replace the recipe's, as in optim.lr=0.001.", metavar="SECTION.KEY=VALUE"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    force: ForceOption = False,
) -> Result:
    """Train an embedding model as a recipe says.

    Ctrl-C ends the run after the step at hand, saves it, and says how to go on. While a run is on, its checkpoints and
    metrics are in OUTPUT.training; OUTPUT appears when the model is complete.
    """
    from slimvec.training.recipe_reading import read_recipe
    from slimvec.training.sources import check_sources

    settings = read_recipe(recipe, overrides or ())
    for stage in settings.stage_recipes():
        check_sources(stage.recipe.data)
    check_free(output, force=force)
    run = run_training(
        terminal,
        settings,
        output,
        resume=resume,
        force=force,
        when_stopped=f"it is saved; go on with: {_resume_command(recipe, overrides or (), output)}",
    )
    report: Result = {
        "output": str(output),
        **run.summary(),
        "seconds": round(run.result.progress.seconds, 3),
    }
    terminal.print(
        f"{report['steps']:,} steps, {report['tokens']:,} tokens in {clock(report['seconds'])}, {_losses(report)}",
        f"{output}: the model, its recipe and metrics.jsonl",
    )
    return report


def _resume_command(recipe: Path, overrides: Sequence[str], output: Path) -> str:
    """Write the command that goes on with a stopped run."""
    return shlex.join(["slimvec", "train", str(recipe), *overrides, "--output", str(output), "--resume"])


def _losses(report: Result) -> str:
    """Say how the loss went."""
    if report["first_loss"] is None:
        return "nothing was left to train"
    return f"loss {report['first_loss']:.3f} to {report['last_loss']:.3f}"
