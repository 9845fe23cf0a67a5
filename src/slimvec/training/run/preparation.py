"""The model at the beginning of a run or a stage: its base loaded, its settings as in the recipe, and trainable.

What can fail at the end of a training is tried before its first step.

The untrained model is written as the trained one will be, read back, loaded and checked; then the folder goes. A full
disk, a base that cannot be saved or a tokenizer that other readers take for another show before hours of work.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.data.records import Record
from slimvec.errors import InputError, TrainingError
from slimvec.files import temporary_folder
from slimvec.model.adapters import add_lora, enlarge_lora, has_lora, merge_lora, train_lora
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import embedder_by_role, load_model, load_opened, save_model
from slimvec.model.golden import NUM_QUICK, TEXTS
from slimvec.model.gradient_checkpointing import checkpoint_gradients
from slimvec.model.head import Head, check_dims
from slimvec.model.manifest import read_manifest
from slimvec.model.opening import open_model
from slimvec.model.scratch_model import draw_model
from slimvec.model.spec import HeadLayer, ModelSpec
from slimvec.text.prompts import ROLES, Prompts, Role
from slimvec.training.recipe import ContradictionError, Recipe, check_mrl_dims
from slimvec.training.step.dtypes import run_dtype
from slimvec.training.step.events import Notice
from slimvec.training.step.processes import Processes
from slimvec.training.step.weights import share_out, shares_out

QuickVectors = Mapping[Role, NDArray[np.float32]]
"""Vectors of the first golden texts by role."""


def rehearse_saving(model: EmbeddingModel, output: Path, *, merged: bool) -> None:
    """Save a model beside where it will be saved, load it again, and remove it.

    Args:
        model: As it is before its training.
        output: Where the trained model's folder shall appear.
        merged: As for `save_model`.

    Raises:
        InputError: the model's prompts leave a text no tokens.
        ModelError: it cannot be saved, or not be loaded as it was saved.
        StorageError: there is no room for it.
    """
    for role in ROLES:
        model.tokenizer.tokenize(TEXTS, prompt=model.spec.prompts.render(role))
    with temporary_folder(output) as folder:
        save_model(model, folder / "model", merged=merged, training={}, golden=TEXTS[:NUM_QUICK])
        load_opened(open_model(folder / "model"), dtype=model.backbone.hf_model.dtype, device=model.device)


def quick_vectors(model: EmbeddingModel) -> QuickVectors:
    """Embed the first golden texts in both roles."""
    embed = embedder_by_role(model)
    return {role: embed(TEXTS[:NUM_QUICK], role) for role in ROLES}


def check_moved(before: QuickVectors, after: QuickVectors, *, steps: int) -> None:
    """See that a training has changed something.

    Args:
        before: Vectors of the model before its first step.
        after: Vectors of the trained model.
        steps: How many it has taken.

    Raises:
        TrainingError: every vector is as it was, to the last bit.
    """
    if steps and all(np.array_equal(before[role], after[role]) for role in ROLES):
        raise TrainingError(
            f"{steps} steps moved no vector: the trained model is its base",
            expected="vectors that differ",
            do="raise optim.lr, look at the losses in metrics.jsonl, or train in fp32",
        )


def prepare_model(
    recipe: Recipe,
    *,
    before: Path | None,
    records: Sequence[Record],
    notice: Notice | None,
    rehearse: Callable[[EmbeddingModel], None],
) -> EmbeddingModel:
    """Load or draw what is to be trained, give it the recipe's spec and make the right weights trainable.

    Args:
        recipe: Recipe of the stage.
        before: The result of the stage before; None for the first, which starts from the base.
        records: Records of the stage; a new tokenizer is trained on them.
        notice: Called with what is fetched or converted.
        rehearse: Given the model once it is ready, and still whole.

    Raises:
        InputError: settings that do not fit the base.
        ModelError: the base cannot be used.
        FetchError: it has to be fetched and cannot be.
    """
    given = recipe.model
    if before is None and recipe.base.shape is not None:
        model = _draw(recipe, records, notice)
    else:
        model = _load(recipe, before, notice)
    if given.head:
        _add_head(model, given.head, seed=recipe.run.seed)
    _check_mrl_dims(recipe, model.dims)
    changes: dict[str, Any] = {"trained_dims": recipe.loss.mrl_dims or model.spec.trained_dims}
    changes["prompts"] = settled_prompts(recipe, model.spec.prompts, trained=model.training_record is not None)
    if "normalize" in given.model_fields_set:
        changes["normalize"] = given.normalize
    model.spec = model.spec.replace(**changes)
    _make_trainable(model, recipe, later=before is not None)
    sharded = shares_out(recipe.run)
    if sharded:
        rehearse(model)
    if recipe.batch.gradient_checkpointing:
        checkpoint_gradients(model.backbone)
    _place(model, recipe)
    if not sharded:
        rehearse(model)  # where it is trained: a machine may emulate the dtype on its CPU
    return model


def settled_prompts(recipe: Recipe, before: Prompts, *, trained: bool) -> Prompts:
    """Give the prompts that a stage trains with.

    Args:
        recipe: Its prompts come first.
        before: Those of what the stage starts from, which come next.
        trained: Whether that was trained by slimvec: then to have none is a choice, and stays.
    """
    keeps = "prompts" not in recipe.model.model_fields_set and (trained or before != Prompts())
    return before if keeps else recipe.model.prompts


def opening_settings(recipe: Recipe, *, later: bool) -> dict[str, Any]:
    """Give what a stage asks of what it starts from, as `open_model` takes it.

    Args:
        recipe: Recipe of the stage.
        later: Whether it starts from the result of another.
    """
    chosen = _given(recipe)
    # Training is what leads from one attention mode to another, so here the mode may be another than the weights'.
    if later or recipe.run.attention_ramp > 0 or recipe.adaptation is not None:
        chosen.pop("attention", None)
    return chosen


def _given(recipe: Recipe) -> dict[str, Any]:
    """Give the settings of the section `model` that a model is opened or drawn with."""
    return {key: getattr(recipe.model, key) for key in recipe.model.model_fields_set - {"normalize", "head"}}


def _draw(recipe: Recipe, records: Sequence[Record], notice: Notice | None) -> EmbeddingModel:
    """Draw a new model."""
    assert recipe.base.shape is not None
    assert recipe.base.tokenizer is not None
    texts = dict.fromkeys(text for record in records for text in (record.query, *record.positives))
    return draw_model(
        recipe.base.shape,
        recipe.base.tokenizer,
        ModelSpec(**_given(recipe)),
        texts=texts,
        seed=recipe.run.seed,
        dtype=_dtype(recipe),
        progress=notice,
    )


def _load(recipe: Recipe, before: Path | None, notice: Notice | None) -> EmbeddingModel:
    """Load the base, or what the stage before gave."""
    chosen = opening_settings(recipe, later=before is not None)
    source = before or recipe.base.source
    assert source is not None
    revision = recipe.base.revision if before is None else None
    model = load_model(source, revision=revision, dtype=_dtype(recipe), progress=notice, **chosen)
    if "attention" in recipe.model.model_fields_set and "attention" not in chosen:
        model.attend(recipe.model.attention)
    if before is not None and (manifest := read_manifest(before)) is not None:
        model.origin = manifest.base  # where the weights started, not the stage, which does not outlive the run
    return model


def _add_head(model: EmbeddingModel, layers: tuple[HeadLayer, ...], *, seed: int) -> None:
    """Put fresh layers behind the pooling; a model that has the same ones keeps them with their weights.

    Raises:
        InputError: it has others, or dims that are more than the layers give.
        ModelError: the layers do not fit together.
    """
    if model.spec.head == layers:
        return
    if model.spec.head:
        found = ", ".join(layer.kind for layer in model.spec.head)
        raise InputError(f"model.head for a base with a head of its own ({found})", expected="the same, or none")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.head = Head(layers, model.backbone.dims)
    model.spec = model.spec.replace(head=layers)
    check_dims(model.spec.dims, model.spec.full_width(model.backbone.dims))


def _dtype(recipe: Recipe) -> torch.dtype:
    """Give the dtype to load in. Weights that are shared out are their own masters."""
    return torch.float32 if shares_out(recipe.run) else run_dtype(recipe.run)


def _place(model: EmbeddingModel, recipe: Recipe) -> None:
    """Bring the model to where this process computes, whole or its share."""
    processes = Processes.current()
    if shares_out(recipe.run):
        share_out(model, processes, dtype=run_dtype(recipe.run))
    else:
        model.to(processes.device)


def _check_mrl_dims(recipe: Recipe, dims: int) -> None:
    """Refuse Matryoshka widths above the base's.

    Raises:
        InputError: always then.
    """
    try:
        check_mrl_dims(recipe.loss, dims)
    except ContradictionError as error:
        raise InputError(str(error), do="lower loss.mrl_dims") from error


def _make_trainable(model: EmbeddingModel, recipe: Recipe, *, later: bool) -> None:
    """Put the adapter on, or free all weights. An adapter that is there is trained on, or folded into its base first.

    It is trained on where the result is an adapter: a later stage has that of the stage before, and a run whose base is
    an adapter begins with that one, in the size that the recipe says.

    Raises:
        ModelError: the base's adapter does not fit into the recipe's.
    """
    tuning, seed = recipe.tuning, recipe.run.seed
    if has_lora(model.backbone) and tuning.merge:
        merge_lora(model.backbone)
    if tuning.method == "full":
        model.requires_grad_(True)
    elif not has_lora(model.backbone):
        add_lora(model.backbone, tuning, seed=seed)
    elif later:
        train_lora(model.backbone)
    else:
        enlarge_lora(model.backbone, tuning, seed=seed)
    model.head.requires_grad_(recipe.trains_head)
