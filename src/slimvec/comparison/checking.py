"""What a study would find out only hours in, looked for before its first run: its models, their prompts, the disk.

Models that are on this machine are opened as each variant will open them, without a weight being read; what has to be
fetched is not looked at.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from slimvec.comparison.plan import Run
from slimvec.comparison.sections import Loaded
from slimvec.comparison.study import BASE_PREFIX, Study, naming
from slimvec.comparison.study_data import StudyData, StudyStage
from slimvec.comparison.trainings import Training, other_models
from slimvec.engine.machine import free_disk
from slimvec.errors import ModelWarning, StorageError
from slimvec.model.adapters import check_size
from slimvec.model.architectures import Config
from slimvec.model.head import check_dims
from slimvec.model.opening import OpenedModel, open_model
from slimvec.model.sources import find_source
from slimvec.text.prompts import Prompts
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.tasks import check_tasks
from slimvec.training.recipe import Recipe
from slimvec.training.run.preparation import opening_settings, settled_prompts
from slimvec.training.step.events import check_loggers

_GB = 1e9


def check_models(study: Study, data: StudyData | None) -> None:
    """See that all models are there or can be fetched, and take the settings that variants train and read them with.

    Args:
        study: The study.
        data: What was found of its data; None where nothing is trained.

    Raises:
        InputError: no such model, or a setting, task or instruction that does not fit it; the message names the
            variant.
        ModelError: a model that cannot be used.
    """
    bases = {}
    for name in study.bases:
        with naming(study.name, f"base {name}"):
            recipe = study.base_recipe(name, study.seeds[0])
            bases[f"{BASE_PREFIX}{name}"] = _check_training(recipe, _start(recipe), data)
    for name, cell in study.cells.items():
        recipe = study.recipe_of(name, study.seeds[0])
        with naming(study.name, f"variant {name}"):
            source = recipe.base.source or ""
            model = bases[source] if source in bases else _start(recipe)
            if cell.trained:
                model = _check_training(recipe, model, data)
            _check_reading(recipe, cell.load, model.prompts, trained=cell.trained or source in bases)


@dataclass(frozen=True)
class _Known:
    """What is known of a model before it is there.

    Attributes:
        prompts: Its prompts.
        tokenizer: Its tokenizer.
        config: `config.json` of its weights.
        trained: Whether slimvec trained it.
    """

    prompts: Prompts | None = None
    tokenizer: Tokenizer | None = None
    config: Config | None = None
    trained: bool = False


def _start(recipe: Recipe) -> _Known:
    """Look at a recipe's base, opened as the recipe asks; nothing is known of one that is not on this machine.

    Raises:
        InputError: there is no such model.
        ModelError: it cannot be used.
    """
    if recipe.base.source is None:
        return _Known(Prompts())
    first = recipe.stage_recipes()[0].recipe
    opened = _open_here(recipe.base.source, recipe.base.revision, opening_settings(first, later=False))
    if opened is None:
        return _Known()
    return _Known(opened.spec.prompts, opened.tokenizer(), opened.config, opened.training is not None)


def _check_training(recipe: Recipe, start: _Known, data: StudyData | None) -> _Known:
    """Look at a training; give what is known of its model.

    Args:
        recipe: Its recipe.
        start: What is known of its base.
        data: What was found of the study's data.
    """
    prompts = start.prompts
    for name in other_models(recipe):
        find_source(name)
    for stage in recipe.stage_recipes():
        check_loggers(stage.recipe.run.loggers)
        if start.config is not None:
            _check_sizes(stage.recipe, start.config)
        if prompts is None and "prompts" not in stage.recipe.model.model_fields_set:
            continue
        prompts = settled_prompts(stage.recipe, prompts or Prompts(), trained=start.trained)
        if data is not None:
            tasks = data.tasks[StudyStage("", stage.recipe).data_key]
            check_tasks(stage.recipe, prompts, tasks, tokenizer=start.tokenizer)
    return replace(start, prompts=prompts, trained=True)


def _check_sizes(recipe: Recipe, config: Config) -> None:
    """See that a base has the layers and the width that a stage asks for."""
    width = int(config["hidden_size"])
    if recipe.tuning.method == "lora":
        check_size(recipe.tuning, num_layers=int(config["num_hidden_layers"]), width=width)
    for dims in () if recipe.model.head else recipe.loss.mrl_dims:
        check_dims(dims, width)


def _check_reading(recipe: Recipe, load: Loaded, prompts: Prompts | None, *, trained: bool) -> None:
    """See that a model can be read as its variant asks.

    Args:
        recipe: Recipe of the model.
        load: What it is read with.
        prompts: Its own, if they are known.
        trained: Whether the study trains it; else it is the base as it is.
    """
    given = recipe.model.prompts if not trained and "prompts" in recipe.model.model_fields_set else prompts
    chosen = load.prompts or given
    if chosen is not None:
        for task in (load.task, *load.tasks.values()):
            chosen.render("query", task)
    source = recipe.base.source
    if source is None or source.startswith(BASE_PREFIX) or recipe.model.head:
        return  # nothing to open yet, or layers to come that decide the width
    asked = {name: value for name, value in load if name not in ("task", "tasks") and value not in (None, False)}
    stages = recipe.stage_recipes()
    own = opening_settings(stages[-1].recipe, later=len(stages) > 1)
    _open_here(source, recipe.base.revision, own | asked)


def _open_here(source: str, revision: str | None, settings: dict[str, Any]) -> OpenedModel | None:
    """Open a model, if it is here as a folder."""
    found = find_source(source, revision=revision)
    if found is None or not found.is_dir():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)  # said again when it is loaded
        return open_model(source, revision=revision, **settings)


def check_room(missing: Sequence[Run], output: Path, *, keep_models: bool) -> None:
    """See that the models that are still to be trained fit on the disk.

    Args:
        missing: Runs without a result.
        output: Folder of the study.
        keep_models: Whether all of them are kept; else about two are there at a time.

    Raises:
        StorageError: there is less room.
    """
    size = cache(_weights_bytes)
    trainings = {training.key: training for run in missing for training in run.training.needed}
    new = (training for training in trainings.values() if _is_new(training, output))
    sizes = sorted((size(training.recipe.base.source) for training in new), reverse=True)
    needed, free = sum(sizes if keep_models else sizes[:2]), free_disk(output)
    if needed > free:
        raise StorageError(
            f"{output} has {free / _GB:.1f} GB free",
            expected=f"{needed / _GB:.1f} GB for {'all' if keep_models else 'two'} of the study's models at once",
            do="free some space or choose another place",
        )


def _is_new(training: Training, output: Path) -> bool:
    """Whether a training writes whole weights, and has not yet."""
    return training.recipe.tuning.merge and not (output / "models" / training.key).exists()


def _weights_bytes(source: str | None) -> int:
    """Size of a model's files, as a merged copy has it; 0 for one that is not known yet."""
    found = None if source is None or source.startswith(BASE_PREFIX) else find_source(source)
    if found is None or not found.is_dir():
        return 0
    return sum(path.stat().st_size for path in found.glob("*.safetensors"))
