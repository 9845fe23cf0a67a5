"""A whole run: from a recipe to a model folder.

While a run is on, its checkpoints and metrics are in `OUTPUT.training`. `OUTPUT` appears when training is over, whole:
the model, the recipe and the metrics; then `OUTPUT.training` goes.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from slimvec.errors import InputError
from slimvec.files import atomic_file, atomic_folder, check_free
from slimvec.model.adapters import add_lora, has_lora, merge_lora
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import load_model, save_model
from slimvec.text.prompts import Prompts
from slimvec.training.checkpoints import Progress
from slimvec.training.collation import Collator
from slimvec.training.contrastive import ContrastiveSteps
from slimvec.training.events import StepCallback
from slimvec.training.loop import DTYPES, Trainer
from slimvec.training.objective import make_objective
from slimvec.training.recipe import ContradictionError, Recipe, check_mrl_dims
from slimvec.training.recipe_reading import recipe_yaml
from slimvec.training.sources import SourceRecord, read_sources

Notice = Callable[[str, float | None], None]


class TrainingRecord(BaseModel):
    """What a trained model's folder says about its training.

    Attributes:
        recipe: In full.
        data: What the sources held.
        progress: Steps, seconds, tokens, truncated texts.
        num_trained: Numbers trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    data: tuple[SourceRecord, ...]
    progress: Progress
    num_trained: int


class TrainingResult(BaseModel):
    """How a run ended.

    Attributes:
        finished: False when it was stopped before its end.
        output: The model's folder; not there yet when the run was stopped.
        checkpoint: The checkpoint a stopped run can go on from.
        progress: Steps, seconds, tokens, truncated texts.
        num_trained: Numbers trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished: bool
    output: Path
    checkpoint: Path | None
    progress: Progress
    num_trained: int


def train(
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    force: bool = False,
    on_step: Sequence[StepCallback] = (),
    notice: Notice | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingResult:
    """Train as a recipe says and write the model's folder.

    Args:
        recipe: The settings.
        output: Where the model's folder shall appear.
        resume: Go on from the newest checkpoint of a run that was stopped; without one, start.
        force: Replace a model or a stopped run that is there.
        on_step: Called after each step.
        notice: Told what is fetched or converted before training begins.
        clock: Seconds; another one in tests.

    Raises:
        InputError: `output` exists, or a stopped run does and neither `resume` nor `force` is set; or the data or
            the settings do not fit the base.
        ModelError: the base cannot be used.
        FetchError: it has to be fetched and cannot be.
        TrainingError: training broke down, or its checkpoints are of another run.
        StorageError: something cannot be written.
    """
    workspace = output.with_name(f"{output.name}.training")
    _open_workspace(workspace, output, resume=resume, force=force)
    records, held = read_sources(recipe.data, seed=recipe.run.seed)
    model = _prepare(recipe, notice)
    trainer = Trainer(
        model,
        ContrastiveSteps(records, recipe, objective=make_objective(recipe.loss), collator=_collator(model, recipe)),
        recipe,
        folder=workspace,
        run_id=_run_id(recipe, held),
        on_step=on_step,
        clock=clock,
    )
    if resume:
        trainer.resume()
    workspace.mkdir(parents=True, exist_ok=True)
    with atomic_file(workspace / "recipe.yaml", force=True) as path:
        path.write_text(recipe_yaml(recipe), encoding="utf-8")
    outcome = trainer.run()
    if outcome.finished:
        record = TrainingRecord(
            recipe=recipe, data=tuple(held), progress=outcome.progress, num_trained=trainer.num_trained
        )
        _finish(model, record, workspace, output, force=force)
    return TrainingResult(
        finished=outcome.finished,
        output=output,
        checkpoint=outcome.checkpoint,
        progress=outcome.progress,
        num_trained=trainer.num_trained,
    )


def _open_workspace(workspace: Path, output: Path, *, resume: bool, force: bool) -> None:
    """See that the run has a place of its own before any work is done."""
    check_free(output, force=force)
    if not workspace.exists():
        return
    if force and not resume:
        shutil.rmtree(workspace)
    elif not resume:
        raise InputError(
            f"{workspace} holds a run that was stopped",
            expected="none",
            do="go on with --resume, or start anew with --force",
        )


def _prepare(recipe: Recipe, notice: Notice | None) -> EmbeddingModel:
    """Load the base, give it the recipe's spec and make the right weights trainable."""
    chosen = {key: getattr(recipe.model, key) for key in recipe.model.model_fields_set}
    normalize = chosen.pop("normalize", None)
    model = load_model(
        recipe.base.source,
        revision=recipe.base.revision,
        dtype=DTYPES[recipe.run.dtype],
        progress=notice,
        **chosen,
    )
    _check_mrl_dims(recipe, model.dims)
    changes: dict[str, Any] = {"trained_dims": recipe.loss.mrl_dims or model.spec.trained_dims}
    if normalize is not None:
        changes["normalize"] = normalize
    if "prompts" not in chosen and model.spec.prompts == Prompts():
        changes["prompts"] = recipe.model.prompts
    model.spec = model.spec.replace(**changes)
    _make_trainable(model, recipe)
    return model


def _check_mrl_dims(recipe: Recipe, dims: int) -> None:
    """Refuse Matryoshka widths above the base's.

    Raises:
        InputError: always then.
    """
    try:
        check_mrl_dims(recipe.loss, dims)
    except ContradictionError as error:
        raise InputError(str(error), do="lower loss.mrl_dims") from error


def _make_trainable(model: EmbeddingModel, recipe: Recipe) -> None:
    """Put the adapter on, or free all weights. An adapter that the base came with is folded into it first.

    Raises:
        InputError: the new adapter shall be saved alone, but its base is an adapter itself.
    """
    tuning = recipe.tuning
    if has_lora(model.backbone):
        if not tuning.merge:
            raise InputError(
                f"tuning.merge=false on the adapter {recipe.base.source}", expected="a whole model as base"
            )
        merge_lora(model.backbone)
    if tuning.method == "full":
        model.requires_grad_(True)
        return
    add_lora(model.backbone, tuning, seed=recipe.run.seed)


def _collator(model: EmbeddingModel, recipe: Recipe) -> Collator:
    """Give the collator of the model."""
    return Collator(
        model.tokenizer,
        model.spec.prompts,
        max_query_tokens=recipe.batch.max_query_tokens,
        max_document_tokens=recipe.batch.max_document_tokens,
        max_negatives=recipe.batch.negatives,
    )


def _run_id(recipe: Recipe, held: Sequence[SourceRecord]) -> str:
    """Fingerprint what the course of a run depends on: the data, and the recipe but for its checkpoint settings."""
    settings = recipe.model_dump(mode="json")
    for key in ("checkpoint_steps", "checkpoint_minutes", "keep"):
        del settings["run"][key]
    described = json.dumps([settings, [source.model_dump() for source in held]], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _finish(model: EmbeddingModel, record: TrainingRecord, workspace: Path, output: Path, *, force: bool) -> None:
    """Write the output folder and clear the workspace."""
    with atomic_folder(output, force=force) as building:
        save_model(model, building, merged=record.recipe.tuning.merge, training=record.model_dump(mode="json"))
        for name in ("recipe.yaml", "metrics.jsonl"):
            shutil.copyfile(workspace / name, building / name)
    shutil.rmtree(workspace)
