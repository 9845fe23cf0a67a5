"""What a study runs, and what its runs are scored on: read once for its checks, its runs and its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slimvec.comparison.probing import outside_hashes
from slimvec.comparison.sections import Probing, Variant
from slimvec.comparison.study import Study
from slimvec.comparison.trainings import Training, TrainingPlan, digest
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.model.spec import Pooling
from slimvec.text.prompts import Prompts


@dataclass(frozen=True, eq=False)
class Run:
    """One variant with one seed.

    Attributes:
        variant: Name.
        seed: Random seed for the training.
        settings: The variant.
        training: Training of the model that is scored.
        mixing: Whether it is measured how much the model mixes context.
        probing: Probes that it is put to.
    """

    variant: str
    seed: int
    settings: Variant
    training: Training
    mixing: bool = False
    probing: Probing | None = None

    def states_key(self) -> str:
        """Hash what decides how a model is opened: runs with equal ones differ in pooling, prompts and tasks alone."""
        load = self.settings.load.hashed(without=["pooling", "prompts", "task", "tasks"])
        return digest(self.training.key, load, self._settings(exclude={"pooling", "prompts"}))

    def result_key(self, material: "Material") -> str:
        """Hash what the result depends on."""
        sets = [dataset.content_hash for dataset in material.datasets]
        load = self.settings.load.hashed()
        probed: list[object] = []
        if self.probing is not None:
            probed = [self.probing.model_dump(mode="json", exclude={"measures"}), material.outside]
        seed = material.study.evaluation.seed
        return digest(self.training.key, load, self._settings(), sets, seed, self.mixing, *probed)

    def pooling(self, embedder: Embedder) -> Pooling:
        """Give the pooling that the variant asks for, else the model's own."""
        model = self.training.recipe.model
        chosen = model.pooling if not self.training.trained and "pooling" in model.model_fields_set else None
        return self.settings.load.pooling or chosen or embedder.spec.pooling

    def prompts(self, embedder: Embedder) -> Prompts:
        """Give the prompts that the variant asks for, else those of its recipe's base or of the trained model."""
        own = embedder.spec.prompts if self.training.trained else self.training.recipe.model.prompts
        return self.settings.load.prompts or own

    def _settings(self, exclude: set[str] | None = None) -> dict[str, object]:
        """Give the settings that an untrained base takes from the recipe; a trained model has its own."""
        return {} if self.training.trained else self.training.recipe.model.model_dump(mode="json", exclude=exclude)


@dataclass(frozen=True, eq=False)
class Material:
    """What runs are scored on.

    Attributes:
        study: The study.
        folder: With its sets, and those of the probes.
        datasets: Its retrieval sets, cut down.
        outside: Hashes of the files that its probes read in the folder.
    """

    study: Study
    folder: Path
    datasets: Sequence[RetrievalSet]
    outside: Mapping[str, str]

    @classmethod
    def read(cls, study: Study, folder: Path, *, strict: bool = False) -> "Material":
        """Read what a study is scored on.

        Args:
            study: The study.
            folder: With its retrieval sets.
            strict: As for `read_retrieval_set`.

        Raises:
            InputError: a set is missing or malformed, or `strict` finds something.
        """
        return cls(study, folder, _read_sets(study, folder, strict=strict), outside_hashes(study.probes, folder))

    @cached_property
    def runs(self) -> "list[Run]":
        """All runs, seed by seed, so that a study that is stopped early has whole rounds."""
        return plan_runs(self.study)


def plan_runs(study: Study) -> list[Run]:
    """List all runs, seed by seed, so that a study that is stopped early has whole rounds."""
    trainings = TrainingPlan(study)
    measured = {name for check in study.checks if check.rises_with == "mixing" for name in check.of}
    cells, plain = study.cells, study.plain
    return [
        Run(name, seed, cell, trainings.of(name, seed), name in measured, study.probes if name in plain else None)
        for seed in study.seeds
        for name, cell in cells.items()
    ]


def _read_sets(study: Study, folder: Path, *, strict: bool) -> list[RetrievalSet]:
    """Read and cut down the sets that a study scores on."""
    chosen = study.evaluation
    found = []
    for name in chosen.sets:
        dataset = read_retrieval_set(folder / name, strict=strict)
        if chosen.language is not None:
            dataset = _one_language(dataset, chosen.language)
        found.append(
            dataset.sample(num_queries=chosen.max_queries, num_documents=chosen.max_documents, seed=chosen.seed)
        )
    return found


def _one_language(dataset: RetrievalSet, language: str) -> RetrievalSet:
    """Take one language of a set that says its languages.

    Raises:
        InputError: the set has others only.
    """
    parts = dataset.by_language()
    chosen = parts.get(f"{dataset.name}/{language}")
    if chosen is None and len(parts) > 1:
        found = ", ".join(name.rpartition("/")[2] for name in parts)
        raise InputError(f"{dataset.name} has no language {language}", expected=f"one of {found}")
    return chosen or dataset
