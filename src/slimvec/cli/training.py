"""A training run as the terminal shows it; `train` and `quickstart` share it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.failures import Interrupted
from slimvec.cli.progress import Task
from slimvec.cli.terminal import Terminal
from slimvec.errors import InputError, ModelError

if TYPE_CHECKING:
    from slimvec.probes.run import ProbeValidator
    from slimvec.training.batches.sources import SourceRecord
    from slimvec.training.recipe import Recipe
    from slimvec.training.run.outline import SourceOutline
    from slimvec.training.run.training_run import TrainingRecord, TrainingResult
    from slimvec.training.step.events import StepEvent, ValidationEvent


@dataclass(slots=True)
class _Follower:
    """Carries steps over to the progress display, and keeps what is reported at the end.

    Attributes:
        task: The display.
        first_loss: Loss of the first step seen.
        last_loss: Loss of the newest.
    """

    task: Task
    first_loss: float | None = None
    last_loss: float | None = None

    def step(self, event: "StepEvent") -> None:
        """Take over a step."""
        self.first_loss = event.loss if self.first_loss is None else self.first_loss
        self.last_loss = event.loss
        self.task.update(
            description=f"training, stage {event.stage}" if event.stage else "training",
            total=1.0,
            completed=event.share,
            detail=str(event),
            seconds_left=event.seconds_left,
            waits_for="a checkpoint of what is trained",
        )

    def validation(self, event: "ValidationEvent") -> None:
        """Take over an evaluation: it is shown until the next step."""
        mains: dict[str, str] = {}  # of an evaluation handed in, only its first measure is shown
        for name in event.measures:
            mains.setdefault(name.partition("/")[0], name)
        measures = ", ".join(f"{name} {event.measures[name]:.3f}" for name in mains.values())
        self.task.update(detail=f"step {event.step}, {measures}{' (best)' if event.best else ''}")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that reached its end.

    Attributes:
        result: As the training gives it, or as its folder records it.
        first_loss: Loss of its first step here; None when there was none.
        last_loss: Loss of its last step.
    """

    result: "TrainingResult | TrainingRecord"
    first_loss: float | None
    last_loss: float | None

    def summary(self) -> dict[str, Any]:
        """Give the numbers that a command's JSON holds."""
        progress = self.result.progress
        steps = sum(stage.progress.step for stage in self.result.stages if stage.progress.pairs)
        return {
            "steps": progress.step,
            "tokens": progress.tokens,
            "num_truncated": progress.truncated,
            "pairs_per_step": progress.pairs / steps if steps else None,
            "negatives_per_pair": progress.negatives / progress.pairs if progress.pairs else None,
            "num_trained": self.result.num_trained,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
        }


def run_training(
    terminal: Terminal,
    recipe: "Recipe",
    output: Path,
    *,
    resume: bool,
    force: bool,
    when_stopped: str,
    validators: "Mapping[str, ProbeValidator] | None" = None,
    expected: float | None = None,
) -> FinishedRun:
    """Train with a progress bar.

    Args:
        terminal: Shows the bar.
        recipe: The settings.
        output: The model's folder.
        resume: Go on from a stopped run.
        force: Replace what is there.
        when_stopped: What a user who stopped the run reads about going on.
        validators: Further evaluations, as `probe_validators_of` gives them.
        expected: Seconds it is expected to take; default unknown.

    Raises:
        Interrupted: the run was stopped, and saved.
        SlimvecError: as `slimvec.training.run.training_run.train`.
    """
    with terminal.task("starting to train", expected=expected) as task:
        from slimvec.engine.fast_training import fast_training
        from slimvec.engine.frozen import open_frozen
        from slimvec.evaluation.teachers import open_teacher
        from slimvec.training.run.training_run import train
        from slimvec.training.step.dtypes import run_slowness

        if slow := run_slowness(recipe):
            terminal.remark(slow)

        follower = _Follower(task)
        result = train(
            recipe,
            output,
            resume=resume,
            force=force,
            on_step=[follower.step],
            on_validation=[follower.validation],
            validators=validators or {},
            notice=task.share,
            remark=terminal.remark,
            open_teacher=open_teacher,
            open_frozen=open_frozen,
            fast_training=fast_training,
        )
    if not result.finished:
        raise Interrupted(f"stopped after step {result.progress.step}; {when_stopped}")
    return FinishedRun(result, follower.first_loss, follower.last_loss)


def finished_run(folder: Path) -> FinishedRun:
    """Read how a run went from the folder that it wrote.

    Raises:
        ModelError: it is none of a training.
    """
    from slimvec.model.manifest import read_manifest
    from slimvec.training.run.training_run import TrainingRecord

    manifest = read_manifest(folder)
    if manifest is None or manifest.training is None:
        raise ModelError(f"{folder} says nothing of a training", expected="what `slimvec train` wrote")
    events = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    losses = [event["loss"] for event in events if "loss" in event]
    record = TrainingRecord.model_validate(manifest.training)
    return FinishedRun(record, losses[0] if losses else None, losses[-1] if losses else None)


def tell_unread(terminal: Terminal, sources: "Iterable[SourceOutline | SourceRecord]") -> None:
    """Name the columns of each file that were not read; a file that several stages read is named once."""
    from slimvec.data.bad_rows import unread_lines

    for line in unread_lines({source.path: source.unread for source in sources}):
        terminal.remark(line)


def probe_validators_of(recipe: "Recipe", probes: Sequence[str]) -> "dict[str, ProbeValidator]":
    """Give probes by their names as evaluations of a run.

    Raises:
        InputError: one is unknown, or no stage evaluates anything.
    """
    if not probes:
        return {}
    from slimvec.probes.registry import choose_probes

    chosen = choose_probes(probes)
    if not any(stage.recipe.validation for stage in recipe.stage_recipes()):
        raise InputError(
            f"--probe {probes[0]} with a recipe that evaluates nothing",
            expected="a section validation, which says when",
            do="add validation={share: 0.02} or the like",
        )
    from slimvec.probes.run import probe_validators

    return probe_validators(chosen, seed=recipe.run.seed)
