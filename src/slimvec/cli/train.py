"""`slimvec train`: a model trained as a recipe says."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.terminal import Result, Terminal, named
from slimvec.cli.training import probe_validators_of, run_training, tell_unread
from slimvec.errors import InputError
from slimvec.reports.amounts import clock

if TYPE_CHECKING:
    from slimvec.training.recipe import Recipe
    from slimvec.training.run.checkpoints import Progress

KEYS = {
    "output": "the model's folder",
    "steps": "optimiser steps in all, those before a resumption included",
    "tokens": "tokens taken in, prompts included",
    "num_truncated": "truncated texts",
    "pairs_per_step": "mean; null where there are none",
    "negatives_per_pair": "mean that a pair meets, its own and positives of others; null without pairs",
    "num_trained": "trainable parameters",
    "first_loss": "loss of the first step of this run; null if none was left",
    "last_loss": "loss of the last step",
    "seconds": "time of training, without loading and saving",
    "validation": "step and score of the best evaluation, first_score and last_score; null without a section for it",
    "plan": "with --dry-run, and alone then: base, stages, sources, steps and missing files",
}


def train(
    terminal: Terminal,
    *,
    recipe: Path,
    output: Path | None = None,
    overrides: list[str] | None = None,
    data: Path | None = None,
    dry_run: bool = False,
    probe: list[str] | None = None,
    resume: bool = False,
    force: bool = False,
) -> Result:
    """Train an embedding model as a recipe says.

    With --probe, what the model sees of a text is measured at each evaluation, by a twentieth of the probe's items, and
    logged as PROBE/MEASURE.

    Ctrl-C ends the run, saves it, and says how to go on. While a run is on, its checkpoints and
    metrics are in OUTPUT.training; OUTPUT appears when the model is complete.

    Positional:
        recipe RECIPE: A recipe in YAML.
        overrides SECTION.KEY=VALUE: Settings that replace the recipe's, as in optim.lr=0.001.

    Options:
        output -o: Folder to write the model into.
        data FOLDER: Where relative paths of data files begin.
        dry_run: Resolve everything but the weights, and say what would be done.
        probe NAME: Run this probe at each evaluation: {PROBES}.
        resume: Go on with a run that was stopped.
    """
    from slimvec.training.recipe.reading import read_recipe

    given = [*(overrides or ()), *([f"data_root={json.dumps(str(data))}"] if data else [])]
    settings = read_recipe(recipe, given)
    validators = probe_validators_of(settings, probe or ())
    if dry_run:
        return _dry_run(terminal, settings)
    if output is None:
        raise InputError("no --output", expected="the folder to write the model into", do="or pass --dry-run")
    from slimvec.training.batches.sources import check_sources  # loads numpy: not before the recipe is known to be good

    for stage in settings.stage_recipes():
        check_sources(stage.recipe.data)
    terminal.reserve(output, force=force)
    run = run_training(
        terminal,
        settings,
        output,
        resume=resume,
        force=force,
        when_stopped=f"it is saved; go on with: {_resume_command(recipe, given, output, probe or ())}",
        validators=validators,
    )
    tell_unread(terminal, (source for stage in run.result.stages for source in stage.data))
    report: Result = {
        "output": output,
        **run.summary(),
        "seconds": round(run.result.progress.seconds, 3),
        "validation": _scores(run.result.progress),
        "plan": None,
    }
    terminal.print(
        f"{report['steps']:,} steps, {report['tokens']:,} tokens in {clock(report['seconds'])}, {_losses(report)}",
        *_contrasts(report, settings),
        f"{output}: the model, its recipe and metrics.jsonl",
        *_purpose(settings, output),
    )
    return report


def _dry_run(terminal: Terminal, recipe: "Recipe") -> Result:
    """Say what the recipe would do."""
    from slimvec.training.run.outline import outline_recipe

    with terminal.task("resolving the recipe"):
        outline = outline_recipe(recipe)
    tell_unread(terminal, (source for stage in outline.stages for source in stage.sources))
    terminal.print(*outline.lines())
    return {**dict.fromkeys(KEYS), "plan": outline}


def _scores(progress: "Progress") -> Result | None:
    """Give the scores of a run with validation."""
    if progress.last_score is None:
        return None
    return named(progress, ("best", "first_score", "last_score"))


def _resume_command(recipe: Path, overrides: Sequence[str], output: Path, probes: Sequence[str]) -> str:
    """Write the command that goes on with a stopped run."""
    asked = [part for name in probes for part in ("--probe", name)]
    return shlex.join(["slimvec", "train", str(recipe), *overrides, "--output", str(output), *asked, "--resume"])


def _contrasts(report: Result, recipe: "Recipe") -> list[str]:
    """Say how much there was to tell apart in a step, where it was pairs."""
    if report["pairs_per_step"] is None:
        return []
    asked = "" if recipe.stages else f" of {recipe.batch.pairs:,} asked"
    pairs, negatives = report["pairs_per_step"], report["negatives_per_pair"]
    return [f"{pairs:.1f} pairs a step{asked}, {negatives:.1f} negatives a pair"]


def _purpose(recipe: "Recipe", output: Path) -> list[str]:
    """Say what a model is for that was trained for no vectors."""
    if recipe.stage_recipes()[-1].recipe.kind != "ngrams":
        return []
    command = f"slimvec search QUESTION --documents FILE --generate 0.5 --language-model {shlex.quote(str(output))}"
    return [f"it writes n-grams, and its vectors are not trained; use it with: {command}"]


def _losses(report: Result) -> str:
    """Say how the loss went."""
    if report["first_loss"] is None:
        return "nothing was left to train"
    return f"loss {report['first_loss']:.3f} to {report['last_loss']:.3f}"
