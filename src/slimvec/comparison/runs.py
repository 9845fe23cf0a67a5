"""Running a study: train each variant with each seed, score it, and keep every result by what it depends on.

A run is known by a hash of its recipe, its data and what it is scored on, so a study that was killed goes on where it
stopped, one that grew keeps what it has, and a result of another recipe is never taken for this one's. Runs that read
one model with different poolings are scored together, on states that are computed once.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from slimvec.comparison.context_mixing import measure_mixing
from slimvec.comparison.probing import outside_hashes, probe_reader
from slimvec.comparison.sections import Probing, Variant
from slimvec.comparison.shared_states import PooledReader, SharedStates
from slimvec.comparison.study import Study, run_name
from slimvec.comparison.trainings import Training, TrainingFigures, TrainingPlan, digest, provide
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.engine.split_decoder import open_split
from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import TaskResult, package_versions
from slimvec.evaluation.retrieval import score_retrieval
from slimvec.evaluation.slimvec_model import describe_embedder
from slimvec.files import write_text
from slimvec.frozen import Frozen
from slimvec.model.opening import OpenSettings
from slimvec.model.spec import Pooling
from slimvec.model.state_cache import GB
from slimvec.probes.results import ProbeResult
from slimvec.training.step.events import StepCallback


class Watcher(Protocol):
    """What a study tells while it runs."""

    def begin(self, run: "Run", number: int, total: int) -> None:
        """Announce a run that was not there yet."""
        ...

    def train(self, training: Training) -> Sequence[StepCallback]:
        """Announce a training; give what shall be called after each of its steps."""
        ...

    def scored(self, texts: int) -> None:
        """Tell that more texts are embedded."""
        ...


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
        """Hash what the model's states depend on: runs with equal ones differ in nothing but the pooling."""
        load = self.settings.load.hashed(without=["pooling"])
        return digest(self.training.key, load, self._settings(exclude={"pooling"}))

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

    def _settings(self, exclude: set[str] | None = None) -> dict[str, object]:
        """Give the settings that an untrained base takes from the recipe; a trained model has its own."""
        return {} if self.training.trained else self.training.recipe.model.model_dump(mode="json", exclude=exclude)


@dataclass(frozen=True)
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
    def read(cls, study: Study, folder: Path) -> "Material":
        """Read what a study is scored on.

        Raises:
            InputError: a set is missing or malformed.
        """
        return cls(study, folder, read_sets(study, folder), outside_hashes(study.probes, folder))


class RunResult(Frozen):
    """What came of a run.

    Attributes:
        variant: Name.
        seed: Random seed for the training.
        key: Hash of all it depends on.
        steps: Steps of training; 0 for an untrained base.
        tokens: Trained on, without those of a base.
        base_tokens: That the study's base was trained on, if it starts from one.
        train_seconds: Seconds of training.
        loss: Mean of the last tenth of the steps; None untrained.
        model: What was scored; None in results that are older than this field.
        tasks: Scores with every query's values.
        versions: Versions of the packages the scores depend on; empty in such results.
        mixing: How much of a state comes from its context; None where nobody asks.
        readings: What the study's probes read.
    """

    variant: str
    seed: int
    key: str
    steps: int
    tokens: int
    base_tokens: int = 0
    train_seconds: float
    loss: float | None
    model: ModelCard | None = None
    tasks: tuple[TaskResult, ...]
    versions: Mapping[str, str] = {}
    mixing: float | None = None
    readings: tuple[ProbeResult, ...] = ()


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


def read_sets(study: Study, folder: Path, *, strict: bool = False) -> list[RetrievalSet]:
    """Read and cut down the sets that a study scores on.

    Args:
        study: The study.
        folder: With its retrieval sets.
        strict: As for `read_retrieval_set`.

    Raises:
        InputError: one is missing or malformed, or `strict` finds something.
    """
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


def run_study(
    study: Study,
    folder: Path,
    output: Path,
    *,
    watcher: Watcher,
    keep_models: bool = False,
    part: tuple[int, int] = (1, 1),
) -> Iterator[RunResult]:
    """Give the result of every run, from the folder where it is there and by running it where it is not.

    Args:
        study: The study.
        folder: With its retrieval sets.
        output: For results and models; made if missing.
        watcher: Informed of what is going on.
        keep_models: Keep trained models once all that is scored with them is.
        part: `(i, n)` does the i-th of n parts of the runs, for n processes that share the output folder. Runs that
            share a training are in one part.

    Raises:
        SlimvecError: a run failed; what was done before is kept, and the next call goes on from there.
    """
    material = Material.read(study, folder)
    runs = _part(plan_runs(study), *part)
    keys = {run: run.result_key(material) for run in runs}
    states = {run: run.states_key() for run in runs}
    missing = [run for run in runs if _read(_path(output, run), keys[run]) is None]
    for number, run in enumerate(runs, start=1):
        if run in missing:
            watcher.begin(run, number, len(runs))
            together = {other: keys[other] for other in missing if states[other] == states[run]}
            for other, result in _score(together, material, output / "models", watcher).items():
                write_text(_path(output, other), result.model_dump_json(indent=1) + "\n", force=True)
            missing = [other for other in missing if other not in together]
        if not keep_models:
            _forget(run, missing, output / "models")
        found = _read(_path(output, run), keys[run])
        assert found is not None
        yield found


def _part(runs: Sequence[Run], number: int, count: int) -> list[Run]:
    """Deal the runs out by their trainings, and give one process its share."""
    trainings: dict[str, int] = {}
    for run in runs:
        trainings.setdefault(run.training.root, len(trainings))
    return [run for run in runs if trainings[run.training.root] % count == number - 1]


def stored_results(study: Study, folder: Path, output: Path) -> list[RunResult]:
    """Give the results of the study that are there, whoever ran them; for a report before the end.

    Raises:
        InputError: a file that is no result.
    """
    material = Material.read(study, folder)
    found = (_read(_path(output, run), run.result_key(material)) for run in plan_runs(study))
    return [result for result in found if result is not None]


def _path(output: Path, run: Run) -> Path:
    return output / "runs" / f"{run_name(run.variant)}-{run.seed}.json"


def _score(keys: Mapping[Run, str], material: Material, models: Path, watcher: Watcher) -> dict[Run, RunResult]:
    """Score runs, given with their keys, whose states are the same; train first what is not there."""
    first = next(iter(keys))
    source = provide(first.training, models, announce=watcher.train)
    with _load(first, source, material.study.evaluation.cache_states) as embedder:
        poolings = {run: run.pooling(embedder) for run in keys}
        states = SharedStates(embedder, list(dict.fromkeys(poolings.values())))
        readers = {run: states.read(pooling) for run, pooling in poolings.items()}
        cards = {run: _card(run, embedder, key) for run, key in keys.items()}
        tasks: dict[Run, list[TaskResult]] = {run: [] for run in keys}
        for dataset in material.datasets:
            for run in keys:
                result = score_retrieval(
                    readers[run],
                    dataset,
                    prompts=cards[run].prompts,
                    task=run.settings.load.task,
                    seed=material.study.evaluation.seed,
                    on_progress=watcher.scored,
                )
                tasks[run].append(result)
            states.drop()
        readings = {run: _probe(run, readers[run], material, watcher) for run in keys}
        mixing = None
        if any(run.mixing for run in keys):
            documents = [document.content for dataset in material.datasets for document in dataset.documents]
            mixing = measure_mixing(embedder, documents)
    figures = TrainingFigures.read(Path(source)) if first.training.trained else TrainingFigures()
    base_tokens = first.training.base_tokens(models)
    return {
        run: RunResult(
            variant=run.variant,
            seed=run.seed,
            key=key,
            steps=figures.steps,
            tokens=figures.tokens,
            base_tokens=base_tokens,
            train_seconds=figures.seconds,
            loss=figures.loss,
            model=cards[run],
            tasks=tuple(tasks[run]),
            versions=package_versions(),
            mixing=mixing if run.mixing else None,
            readings=readings[run],
        )
        for run, key in keys.items()
    }


def _probe(run: Run, reader: PooledReader, material: Material, watcher: Watcher) -> tuple[ProbeResult, ...]:
    """Put a run to its probes, if it has any."""
    if run.probing is None:
        return ()
    seed = material.study.evaluation.seed
    return probe_reader(reader, run.probing, material.folder, seed=seed, on_progress=watcher.scored)


@contextmanager
def _load(run: Run, source: str | Path, cache_states: float) -> Iterator[Embedder]:
    """Load a model as its variant says, but for the pooling; an untrained base takes the recipe's settings."""
    asked, model = run.settings.load, run.training.recipe.model
    chosen: OpenSettings = {"prompts": asked.prompts, "dims": asked.dims, "recency": asked.recency}
    chosen.update({"echo": asked.echo, "num_layers": asked.num_layers})
    if not run.training.trained:
        given = model.model_dump(include=model.model_fields_set & {"attention", "max_tokens", "num_layers"})
        chosen.update({"prompts": asked.prompts or model.prompts, **given})  # type: ignore[typeddict-item]
    frozen = run.training.recipe.tuning.first_layer
    if not cache_states or not frozen:
        yield Embedder.load(source, **chosen)
        return
    with open_split(source, frozen, max_bytes=int(cache_states * GB), **chosen) as embedder:
        yield embedder


def _card(run: Run, embedder: Embedder, key: str) -> ModelCard:
    name = f"{run.variant} (seed {run.seed})"
    return describe_embedder(embedder, name=name, identity=key, task=run.settings.load.task)


def _read(path: Path, key: str) -> RunResult | None:
    """Read a result that is there and depends on the same things.

    Raises:
        InputError: the file is something else.
    """
    if not path.is_file():
        return None
    try:
        result = RunResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path} is not a result of a run", expected="one", do="remove it and run again") from error
    return result if result.key == key else None


def _forget(run: Run, missing: Sequence[Run], models: Path) -> None:
    """Remove the models of a run that no run to come needs."""
    needed = {training.key for other in missing for training in other.training.needed}
    for training in run.training.needed:
        if training.key not in needed:
            shutil.rmtree(models / training.key, ignore_errors=True)


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
