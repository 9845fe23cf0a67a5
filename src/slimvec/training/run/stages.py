"""One stage of a run: where its files are, what it was when it is over, and how it is carried out.

A run without stages is one stage. While a run is on, its workspace `OUTPUT.training` holds

    recipe.yaml, metrics.jsonl      of all stages
    data_cards                      what the data of each stage was
    stages/01-NAME                  the model that a stage gave, whole; the next one starts from it
    stages/02-NAME.training         checkpoints and best weights of the stage under way

so that a run that was killed goes on in the stage it was in, and no stage is done twice. The model of the last stage is
the run's own. A run without stages has its checkpoints in the workspace itself.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from slimvec.data.contamination import TrainingOverlap
from slimvec.data.records import Record
from slimvec.errors import TrainingError
from slimvec.files import sha256_of_json
from slimvec.frozen import Frozen
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import save_model
from slimvec.model.guard import check_attention_mode
from slimvec.model.manifest import read_manifest
from slimvec.training.batches.collation import OpenTeacher
from slimvec.training.batches.sources import SourceRecord, read_training_data, source_numbers
from slimvec.training.batches.tasks import check_tasks, named_tasks
from slimvec.training.recipe import Recipe, StageRecipe
from slimvec.training.recipe.reading import WrittenRecipe
from slimvec.training.run.checkpoints import CheckpointStore, Progress, TrainingOutcome
from slimvec.training.run.data_card import describe_data, keep_stage_card
from slimvec.training.run.kinds import KINDS, StageInput
from slimvec.training.run.loop import Trainer
from slimvec.training.run.preparation import check_moved, prepare_model, quick_vectors, rehearse_saving
from slimvec.training.run.validation import HeldOutRetrieval, TrainingEmbedder, Validator, split_records
from slimvec.training.step.dtypes import run_dtype
from slimvec.training.step.events import Audience
from slimvec.training.step.frozen import FastTraining, OpenFrozen, fast_frozen
from slimvec.training.step.processes import Processes
from slimvec.training.step.weights import put_together, shares_out

WORKSPACE_SUFFIX = ".training"
_CHECKPOINT_KEYS = ("checkpoint_steps", "checkpoint_minutes", "keep", "loggers", "cache_states")
"""Settings of `run` that change nothing in what a run computes."""


class StageRecord(Frozen):
    """What is known of a stage that is over.

    Attributes:
        name: Empty in a run without stages.
        recipe: The stage's own, in full.
        recipe_id: Fingerprint of all that decides its course but the data.
        data: What its sources held.
        num_held_out: Records that were kept for validation.
        shared_text: What training records share with a file of held-out ones; None without such a file.
        progress: Steps, seconds, tokens, truncated texts, scores.
        num_trained: Trainable parameters.
    """

    name: str
    recipe: WrittenRecipe
    recipe_id: str
    data: tuple[SourceRecord, ...]
    num_held_out: int
    shared_text: TrainingOverlap | None = None
    progress: Progress
    num_trained: int


@dataclass(frozen=True)
class StagePaths:
    """A stage of a run and where its files are.

    Attributes:
        stage: Name and recipe.
        number: Its number in the run, from 1.
        folder: Where its model is saved, unless it is the last stage.
        workspace: Where its checkpoints are.
        metrics: The metrics file of the run.
    """

    stage: StageRecipe
    number: int
    folder: Path
    workspace: Path
    metrics: Path

    @property
    def output(self) -> Path:
        """The folder that the run shall give."""
        workspace = self.metrics.parent
        return workspace.with_name(workspace.name.removesuffix(WORKSPACE_SUFFIX))

    @classmethod
    def all_of(cls, recipe: Recipe, workspace: Path) -> "list[StagePaths]":
        """List the stages of a recipe with their paths in a run's workspace."""
        stages = []
        for number, stage in enumerate(recipe.stage_recipes(), start=1):
            folder = workspace / "stages" / f"{number:02d}-{stage.name}"
            own = folder.with_name(f"{folder.name}{WORKSPACE_SUFFIX}") if stage.name else workspace
            stages.append(cls(stage, number, folder, own, workspace / "metrics.jsonl"))
        return stages

    def finished(self, recipe_id: str) -> StageRecord | None:
        """Read what is known of the stage if it is over; None if it is not.

        Args:
            recipe_id: The stage's fingerprint, by the recipe at hand.

        Raises:
            TrainingError: its model is of another recipe, or says nothing that can be read.
        """
        manifest = read_manifest(self.folder) if self.stage.name and self.folder.is_dir() else None
        if manifest is None:
            return None
        try:
            record = StageRecord.model_validate(manifest.training)
        except ValidationError as error:
            raise TrainingError(f"{self.folder} is not a model of a stage", do="start over with --force") from error
        if record.recipe_id != recipe_id:
            raise TrainingError(
                f"stage {self.stage.name} in {self.folder} is of another recipe",
                expected="the same",
                do="resume with the recipe as it was, or start over with --force",
            )
        return record


@dataclass(frozen=True)
class RunContext:
    """What surrounds a run beside its recipe: listeners, validators, and ways to open a teacher or a fast copy.

    Attributes:
        audience: Informed of what happens.
        validators: Further evaluations, by name.
        open_teacher: Gives the model that a recipe names as teacher.
        open_frozen: Gives something faster for the layers that are not trained.
        fast_training: Runs attention, norms and activations of the others faster.
        clock: Seconds.
    """

    audience: Audience = field(default_factory=Audience)
    validators: Mapping[str, Validator] = field(default_factory=dict)
    open_teacher: OpenTeacher | None = None
    open_frozen: OpenFrozen | None = None
    fast_training: FastTraining = nullcontext
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, eq=False)
class StageOutcome:
    """How a stage ended.

    Attributes:
        training: Whether it is finished, and how far it is.
        model: With the weights it ended with.
        record: What is known of it.
    """

    training: TrainingOutcome
    model: EmbeddingModel
    record: StageRecord


def recipe_ids(stages: Sequence[StagePaths]) -> list[str]:
    """Fingerprint what the course of each stage depends on but data: its recipe, and those of the stages before it."""
    found: list[str] = []
    for paths in stages:
        settings = paths.stage.recipe.model_dump(mode="json")
        for key in _CHECKPOINT_KEYS:
            del settings["run"][key]
        found.append(sha256_of_json([found[-1:], settings]))
    return found


def run_stage(
    paths: StagePaths,
    recipe_id: str,
    *,
    before: Path | None,
    resume: bool,
    context: RunContext,
    at_start: Callable[[], None],
) -> StageOutcome:
    """Carry a stage out, or as much of it as is left.

    Args:
        paths: The stage.
        recipe_id: Its fingerprint.
        before: The model of the stage before, if there is one.
        resume: Go on from its newest checkpoint, if there is one.
        context: Listeners, validators and openers of the run.
        at_start: Called when data and model are there, before anything is written.
    """
    recipe = paths.stage.recipe
    found, held = read_training_data(recipe)
    split = split_records(found, recipe)
    validation = split.validation
    processes = Processes.current()

    def rehearse(model: EmbeddingModel) -> None:
        context.audience.notice("trying to save the model", None)
        processes.on_main(lambda: rehearse_saving(model, paths.output, merged=recipe.tuning.merge))

    model = prepare_model(
        recipe, before=before, records=split.training, notice=context.audience.notice, rehearse=rehearse
    )
    tasks, prompts = (named_tasks(split.training), named_tasks(validation)), model.spec.prompts
    check_tasks(recipe, prompts, *tasks, tokenizer=model.tokenizer)
    untrained = None if shares_out(recipe.run) else quick_vectors(model)
    numbers = source_numbers(held)[split.numbers]
    work = KINDS[recipe.kind](
        StageInput(model, split.training, numbers, recipe, context.audience, context.open_teacher)
    )
    if work.start is not None and not (resume and _has_checkpoint(paths, recipe, processes)):
        with fast_frozen(model, recipe, context.open_frozen):
            work.start()
    trainer = Trainer(
        work.trainable,
        work.steps,
        recipe,
        folder=paths.workspace,
        run_id=sha256_of_json([recipe_id, [source.model_dump() for source in held], work.teacher]),
        extra_parameters=work.extra_parameters,
        kept=work.kept,
        stage=paths.stage.name,
        metrics=paths.metrics,
        evaluate=_evaluation(model, recipe, validation, context.validators),
        audience=context.audience,
        clock=context.clock,
    )
    if resume:
        trainer.resume()

    def begin() -> None:
        at_start()
        paths.workspace.mkdir(parents=True, exist_ok=True)
        keep_stage_card(describe_data(recipe.data, found, held, model.tokenizer), paths.metrics.parent, paths.number)

    processes.on_main(begin)
    remark = context.audience.remark
    frozen = fast_frozen(model, recipe, context.open_frozen, look=trainer.look, remark=remark)
    with frozen, context.fast_training(model.backbone):
        outcome = trainer.run()
    record = StageRecord(
        name=paths.stage.name,
        recipe=recipe,
        recipe_id=recipe_id,
        data=tuple(held),
        num_held_out=len(validation),
        shared_text=split.shared_text,
        progress=outcome.progress,
        num_trained=trainer.num_trained,
    )
    if outcome.finished:
        check_attention_mode(model.backbone, model.spec.attention, vocabulary=model.backbone.config.vocab_size)
        if shares_out(recipe.run):
            put_together(model, processes, dtype=run_dtype(recipe.run))
        if untrained is not None:
            check_moved(untrained, quick_vectors(model), steps=outcome.progress.step)
    return StageOutcome(outcome, model, record)


def _has_checkpoint(paths: StagePaths, recipe: Recipe, processes: Processes) -> bool:
    """Whether there is a whole checkpoint of a stage to go on from."""
    with processes.main_first():  # it removes torn ones
        return CheckpointStore(paths.workspace / "checkpoints", keep=recipe.run.keep).latest() is not None


def keep_stage(paths: StagePaths, outcome: StageOutcome) -> None:
    """Save the model of a stage that is not the last, and let go of its checkpoints.

    Raises:
        StorageError: it cannot be written.
    """
    merged = paths.stage.recipe.tuning.merge
    save_model(outcome.model, paths.folder, merged=merged, training=outcome.record.model_dump(mode="json"))
    shutil.rmtree(paths.workspace)


def _evaluation(
    model: EmbeddingModel, recipe: Recipe, validation: Sequence[Record], validators: Mapping[str, Validator]
) -> Callable[[], dict[str, float]] | None:
    """Put the evaluations of a stage together: held-out records under their own names, others as `NAME/MEASURE`."""
    if recipe.validation is None:
        return None
    embedder = TrainingEmbedder(model, recipe.batch)
    return partial(_measure, embedder, {"": HeldOutRetrieval(validation), **validators})


def _measure(embedder: TrainingEmbedder, validators: Mapping[str, Validator]) -> dict[str, float]:
    """Evaluate by all of them."""
    return {
        f"{name}/{measure}" if name else measure: value
        for name, validator in validators.items()
        for measure, value in validator(embedder).items()
    }
