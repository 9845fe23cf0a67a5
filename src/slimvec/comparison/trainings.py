"""What the runs of a study train: each training once, whoever needs it, known by a hash of all it depends on."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from slimvec.comparison.study import BASE_PREFIX, Study
from slimvec.engine.fast_training import fast_training
from slimvec.engine.frozen import open_frozen
from slimvec.errors import TrainingError
from slimvec.evaluation.teachers import open_teacher
from slimvec.files import sha256_of, sha256_of_json
from slimvec.model.builtin import BUILTINS
from slimvec.model.identity import folder_sha256
from slimvec.model.manifest import read_manifest
from slimvec.training.recipe import Base, Recipe, TextVectorsObjective
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.training_run import train
from slimvec.training.step.dtypes import settled
from slimvec.training.step.events import StepCallback


@dataclass(frozen=True)
class Training:
    """A model that a study trains, or takes untrained.

    Attributes:
        name: Name of the variant or base, for messages.
        seed: Its seed.
        recipe: In full; a base of the study is the source `base:NAME`.
        trained: False for a base as it is.
        base: The base's own training, if the study trains it.
        key: Hash of what the weights depend on: the recipe, the bytes of its data, of a base, a tokenizer's source and
            teachers that are folders or files, and the key of a base that the study trains.
    """

    name: str
    seed: int
    recipe: Recipe
    trained: bool
    base: "Training | None"
    key: str

    @property
    def root(self) -> str:
        """Key of the first training of the line: whoever does that one does the rest."""
        return self.base.key if self.base is not None else self.key

    @property
    def needed(self) -> "tuple[Training, ...]":
        """What must be trained before the model is there: nothing for an untrained one."""
        before = () if self.base is None else (self.base,)
        return (*before, self) if self.trained else before

    def base_tokens(self, models: Path) -> int:
        """Count the tokens that the study trained the base on, if it did, from its folder among the models."""
        return 0 if self.base is None else TrainingFigures.read(models / self.base.key).tokens


@dataclass(frozen=True)
class TrainingFigures:
    """How a training went.

    Attributes:
        steps: Over all stages.
        tokens: Likewise.
        seconds: Likewise.
        loss: Mean of the last tenth of the steps of the last stage; None without any.
    """

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None

    @classmethod
    def read(cls, folder: Path) -> "TrainingFigures":
        """Read them from a trained model.

        Raises:
            TrainingError: the folder says nothing of a training.
        """
        manifest = read_manifest(folder)
        if manifest is None or manifest.training is None:
            raise TrainingError(
                f"{folder} is not a model with its training", do="remove the folder models and run again"
            )
        total = Progress.model_validate(manifest.training["progress"])
        stage = manifest.training["stages"][-1]["name"]
        lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        losses = [line["loss"] for line in lines if "loss" in line and line.get("stage", "") == stage]
        last = losses[-max(1, len(losses) // 10) :]
        return cls(total.step, total.tokens, total.seconds, sum(last) / len(last) if last else None)


class TrainingPlan:
    """Gives the trainings of a study's variants.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._cells = study.cells
        self._sha256 = cache(sha256_of)  # trainings share their data files
        self._weights = cache(folder_sha256)  # and their bases
        self._known: dict[tuple[tuple[str, ...], bool, int], Training] = {}  # and variants their trainings

    def of(self, variant: str, seed: int) -> Training:
        """Give the training of a variant.

        Raises:
            InputError: its recipe is none.
            StorageError: a file of its data cannot be read.
        """
        cell = self._cells[variant]
        known = cell.set, cell.trained, seed
        if known not in self._known:
            self._known[known] = self._make(variant, seed, trained=cell.trained)
        return self._known[known]

    def _make(self, variant: str, seed: int, *, trained: bool) -> Training:
        recipe = self._study.recipe_of(variant, seed)
        source = recipe.base.source or ""
        name = source.removeprefix(BASE_PREFIX)
        is_base = source.startswith(BASE_PREFIX) and name in self._study.bases
        base = self._training(name, seed, self._study.base_recipe(name, seed)) if is_base else None
        return self._training(variant, seed, recipe, base, trained=trained)

    def _training(
        self, name: str, seed: int, recipe: Recipe, base: Training | None = None, *, trained: bool = True
    ) -> Training:
        recipe = settled(recipe)  # trained in another dtype, it is another model
        weights = self._local_weights(recipe.base.source) if base is None else base.key
        if trained:
            others = {name: found for name in other_models(recipe) if (found := self._local_weights(name))}
            key = digest(recipe.model_dump(mode="json"), self._files(recipe), weights, *([others] if others else []))
        else:
            key = digest(recipe.base.model_dump(mode="json"), weights)
        return Training(name, seed, recipe, trained, base, key)

    def _local_weights(self, source: str | None) -> str:
        """Hash a model that is a folder or file of this machine; a name stands for the same weights always."""
        path = None if source is None or source in BUILTINS else Path(source).expanduser()
        if path is None or not path.exists():
            return ""
        return self._weights(path) if path.is_dir() else self._sha256(path)

    def _files(self, recipe: Recipe) -> dict[str, str]:
        """Hash the files of a recipe's data."""
        return {str(path): self._sha256(path) for stage in recipe.stage_recipes() for path in data_files(stage.recipe)}


def provide(training: Training, models: Path, *, announce: Callable[[Training], Iterable[StepCallback]]) -> str | Path:
    """Give the folder of a model, or the name of one that is taken as it is; what is missing is trained.

    Args:
        training: Training of the model.
        models: Folder for trained models, by key.
        announce: Called with each training that is begun; gives what is called after each of its steps.

    Raises:
        TrainingError: it was stopped.
        SlimvecError: it failed.
    """
    folder = models / training.key
    if training.trained and folder.exists():
        return folder
    base = None if training.base is None else provide(training.base, models, announce=announce)
    if not training.trained:
        assert training.recipe.base.source is not None
        return base or training.recipe.base.source
    recipe = training.recipe
    if base is not None:
        recipe = recipe.model_copy(update={"base": Base(source=str(base))})
    steps = list(announce(training))
    result = train(
        recipe, folder, resume=True, on_step=steps, open_teacher=open_teacher, open_frozen=open_frozen,
        fast_training=fast_training,
    )  # fmt: skip
    if not result.finished:
        raise TrainingError(
            f"stopped within {training.name}, seed {training.seed}", do="run it again: it goes on from here"
        )
    return folder


def digest(*parts: object) -> str:
    """Hash anything JSON can write, to 16 letters."""
    return sha256_of_json(parts)[:16]


def other_models(recipe: Recipe) -> list[str]:
    """List the models that a training takes a tokenizer from, or learns from."""
    tokenizer = recipe.base.tokenizer
    found = [tokenizer.source] if tokenizer is not None and tokenizer.source is not None else []
    for stage in recipe.stage_recipes():
        distill, objective = stage.recipe.loss.distill, stage.recipe.objective
        found += [distill.teacher] if distill is not None and distill.has_model else []
        found += objective.teachers if isinstance(objective, TextVectorsObjective) else ()
    return found


def data_files(recipe: Recipe) -> list[Path]:
    """List the files that a stage reads."""
    paths = [None if source.is_hub else source.path for source in recipe.data]
    paths += [source.passages for source in recipe.data]
    paths += [recipe.validation.path] if recipe.validation is not None else []
    return [path for path in paths if path is not None]
