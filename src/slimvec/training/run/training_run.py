"""A whole run: from a recipe to a model folder.

While a run is on, its stages, checkpoints and metrics are in `OUTPUT.training`. `OUTPUT` appears when training is over,
whole: the model, the recipe, the metrics and the data card; then `OUTPUT.training` goes.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

from slimvec.errors import InputError
from slimvec.files import atomic_folder, check_free, write_text
from slimvec.frozen import Frozen
from slimvec.locks import reserved
from slimvec.model.folder import save_model
from slimvec.model.manifest import MANIFEST_NAME
from slimvec.training.batches.collation import OpenTeacher
from slimvec.training.batches.sources import SourceRecord, check_sources
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.reading import WrittenRecipe, recipe_yaml
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.data_card import write_run_card
from slimvec.training.run.kinds import language_head
from slimvec.training.run.stages import (
    WORKSPACE_SUFFIX,
    RunContext,
    StageOutcome,
    StagePaths,
    StageRecord,
    keep_stage,
    recipe_ids,
    run_stage,
)
from slimvec.training.run.validation import Validator
from slimvec.training.step.dtypes import settled
from slimvec.training.step.events import Audience, Notice, Remark, StepCallback, ValidationCallback, check_loggers
from slimvec.training.step.frozen import FastTraining, OpenFrozen
from slimvec.training.step.processes import started


class TrainingRecord(Frozen):
    """What a trained model's folder says about its training.

    Attributes:
        recipe: In full.
        data: What the sources of all stages held.
        progress: Steps, seconds, tokens, truncated texts of all stages.
        num_trained: Trainable parameters of the last stage.
        stages: One after the other; a single one in a run without stages.
    """

    recipe: WrittenRecipe
    data: tuple[SourceRecord, ...]
    progress: Progress
    num_trained: int
    stages: tuple[StageRecord, ...]


class TrainingResult(Frozen):
    """How a run ended.

    Attributes:
        finished: False when it was stopped before its end.
        output: The model's folder; not there yet when the run was stopped.
        checkpoint: The checkpoint a stopped run can go on from.
        progress: Steps, seconds, tokens, truncated texts of all stages.
        num_trained: Trainable parameters of the last stage.
        stages: Those that are over, and the one in which the run was stopped.
    """

    finished: bool
    output: Path
    checkpoint: Path | None
    progress: Progress
    num_trained: int
    stages: tuple[StageRecord, ...]


def train(
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    force: bool = False,
    on_step: Sequence[StepCallback] = (),
    on_validation: Sequence[ValidationCallback] = (),
    validators: Mapping[str, Validator] | None = None,
    notice: Notice | None = None,
    remark: Remark | None = None,
    open_teacher: OpenTeacher | None = None,
    open_frozen: OpenFrozen | None = None,
    fast_training: FastTraining = nullcontext,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingResult:
    """Train as a recipe says and write the model's folder.

    Under `torchrun` or `accelerate launch` the processes share the work, and the main one writes.

    Args:
        recipe: The settings.
        output: Folder to write the model into.
        resume: Go on from the newest checkpoint of a run that was stopped; without one, start.
        force: Replace a model or a stopped run that is there.
        on_step: Called after each step.
        on_validation: Called after each evaluation.
        validators: Further evaluations by name, for recipes with a section `validation`. Their measures are logged as
            `NAME/MEASURE`, and `validation.metric` can be one of them.
        notice: Called with what is fetched, converted or under way where it takes long.
        remark: Called with a line that a person should find after the run too: what a stage begins with.
        open_teacher: Gives the model that `loss.distill.teacher` names; asked for by recipes that name one.
        open_frozen: Gives something faster for the layers that are not trained, as `slimvec.engine.frozen.open_frozen`;
            default the model itself.
        fast_training: Runs attention, norms and activations of the layers that are trained faster, as
            `slimvec.engine.fast_training.fast_training`; default the model itself.
        clock: Seconds; another one in tests.

    Raises:
        InputError: `output` exists, or a stopped run does and neither `resume` nor `force` is set; another process
            trains into it; or the data or the settings do not fit the base.
        ModelError: the base cannot be used.
        FetchError: it has to be fetched and cannot be.
        TrainingError: training broke down, or its checkpoints are of another run.
        StorageError: something cannot be written.
    """
    with started() as processes, ExitStack() as stack:
        workspace = output.with_name(f"{output.name}{WORKSPACE_SUFFIX}")
        processes.on_main(lambda: stack.enter_context(reserved(output, force=force)))
        processes.on_main(lambda: _open_workspace(workspace, output, resume=resume, force=force))
        recipe = settled(recipe, begun=workspace / "recipe.yaml" if resume else None)
        stages = StagePaths.all_of(recipe, workspace)
        check_sources(source for paths in stages for source in paths.stage.recipe.data)
        check_loggers([name for paths in stages for name in paths.stage.recipe.run.loggers])
        audience = Audience(on_step, on_validation, notice or Audience.notice, remark or Audience.remark)
        context = RunContext(audience, validators or {}, open_teacher, open_frozen, fast_training, clock)
        records: list[StageRecord] = []
        for paths, recipe_id in zip(stages, recipe_ids(stages), strict=True):
            over = paths.finished(recipe_id) if resume else None
            if over is not None:
                records.append(over)
                continue
            before = stages[len(records) - 1].folder if records else None
            outcome = run_stage(
                paths,
                recipe_id,
                before=before,
                resume=resume,
                context=context,
                at_start=lambda: _begin(workspace, recipe),
            )
            records.append(outcome.record)
            if not outcome.training.finished:
                return _result(records, output, outcome)
            if paths is not stages[-1]:
                processes.on_main(partial(keep_stage, paths, outcome))
        processes.on_main(lambda: _finish(outcome, recipe, records, workspace, output, force=force))
        return _result(records, output, outcome)


def _open_workspace(workspace: Path, output: Path, *, resume: bool, force: bool) -> None:
    """See that the run has a place of its own before any work is done."""
    check_free(output, force=force)
    if resume or not workspace.exists():
        return
    if force or not _has_progress(workspace):
        shutil.rmtree(workspace)
    else:
        raise InputError(
            f"{workspace} holds a run that was stopped",
            expected="none",
            do="go on with --resume, or start over with --force",
        )


def _has_progress(workspace: Path) -> bool:
    """Whether there is a checkpoint or a stage to go on from; a run that failed before has left nothing of use."""
    checkpoints = (path for path in workspace.rglob("step-*") if path.is_dir())
    return any(checkpoints) or any((workspace / "stages").glob(f"*/{MANIFEST_NAME}"))


def _begin(workspace: Path, recipe: Recipe) -> None:
    """Open the workspace, now that data and model are there: a run that cannot begin leaves nothing behind."""
    workspace.mkdir(parents=True, exist_ok=True)
    write_text(workspace / "recipe.yaml", recipe_yaml(recipe), force=True)


def _finish(
    last: StageOutcome, recipe: Recipe, records: Sequence[StageRecord], workspace: Path, output: Path, *, force: bool
) -> None:
    """Write the output folder and clear the workspace."""
    record = TrainingRecord(
        recipe=recipe,
        data=tuple(source for stage in records for source in stage.data),
        progress=_total(records),
        num_trained=last.record.num_trained,
        stages=tuple(records),
    )
    with atomic_folder(output, force=force) as building:
        merged = last.record.recipe.tuning.merge
        head = language_head(recipe, last.model) if last.record.recipe.keeps_language_model else None
        save_model(last.model, building, merged=merged, training=record.model_dump(mode="json"), language_head=head)
        for name in ("recipe.yaml", "metrics.jsonl"):
            shutil.copyfile(workspace / name, building / name)
        write_run_card(workspace, len(records), building)
        if (workspace / "tensorboard").is_dir():
            shutil.copytree(workspace / "tensorboard", building / "tensorboard")
    shutil.rmtree(workspace)


def _result(records: Sequence[StageRecord], output: Path, outcome: StageOutcome) -> TrainingResult:
    """Say how the run ended."""
    return TrainingResult(
        finished=outcome.training.finished,
        output=output,
        checkpoint=outcome.training.checkpoint,
        progress=_total(records),
        num_trained=outcome.record.num_trained,
        stages=tuple(records),
    )


def _total(records: Sequence[StageRecord]) -> Progress:
    """Add the stages up; the scores are the last one's."""
    last = records[-1].progress
    counts = {
        name: sum(getattr(record.progress, name) for record in records)
        for name in ("step", "seconds", "tokens", "truncated", "pairs", "negatives")
    }
    return last.model_copy(update=counts)
