"""Running a study: train each variant with each seed, score it, and keep every result by what it depends on.

A run is known by a hash of its recipe, its data and what it is scored on, so a study that was killed goes on where it
stopped, one that grew keeps what it has, and a result of another recipe is never taken for this one's.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from slimvec.comparison.study import Study, Variant
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_reading import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, TrainingError
from slimvec.evaluation.results import System, TaskResult
from slimvec.evaluation.retrieval import score_retrieval
from slimvec.evaluation.teachers import open_teacher
from slimvec.files import atomic_file, sha256_of
from slimvec.model.opening import OpenSettings
from slimvec.text.prompts import ROLES
from slimvec.training.events import StepCallback
from slimvec.training.recipe import Recipe
from slimvec.training.run import train


class Watcher(Protocol):
    """What a study tells while it runs."""

    def begin(self, run: "Run", number: int, total: int) -> None:
        """Announce a run that was not there yet."""
        ...

    def step(self) -> Sequence[StepCallback]:
        """Give what shall be called after each step of training."""
        ...

    def scored(self, texts: int) -> None:
        """Tell that more texts are embedded."""
        ...


@dataclass(frozen=True)
class Run:
    """One variant with one seed.

    Attributes:
        variant: Name.
        seed: Of the training.
        settings: The variant.
        recipe: In full.
        weights_key: Hash of what the scored weights depend on: the recipe and the bytes of its data, or the base.
    """

    variant: str
    seed: int
    settings: Variant
    recipe: Recipe
    weights_key: str


class RunResult(BaseModel):
    """What came of a run.

    Attributes:
        variant: Name.
        seed: Of the training.
        key: Hash of all it depends on.
        steps: Of training; 0 for an untrained base.
        tokens: Trained on.
        train_seconds: Of training.
        loss: Mean of the last tenth of the steps; None untrained.
        tasks: Scores with every query's values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    seed: int
    key: str
    steps: int
    tokens: int
    train_seconds: float
    loss: float | None
    tasks: tuple[TaskResult, ...]


def plan_runs(study: Study) -> list[Run]:
    """List all runs, seed by seed, so that a study that is stopped early has whole rounds."""
    sha256 = cache(sha256_of)  # variants share their data files
    runs = []
    for seed in study.seeds:
        for name, variant in study.cells.items():
            recipe = study.recipe_of(name, seed)
            runs.append(Run(name, seed, variant, recipe, _weights_key(variant, recipe, sha256)))
    return runs


def read_sets(study: Study, folder: Path) -> list[RetrievalSet]:
    """Read and cut down the sets that a study scores on.

    Raises:
        InputError: one is missing or malformed.
    """
    chosen = study.evaluation
    found = []
    for name in chosen.sets:
        dataset = read_retrieval_set(folder / name)
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
        watcher: Told what is going on.
        keep_models: Keep trained models once all that is scored with them is.
        part: `(i, n)` does the i-th of n parts of the runs, for n processes that share the output folder. Runs that
            share a training are in one part.

    Raises:
        SlimvecError: a run failed; what was done before is kept, and the next call goes on from there.
    """
    datasets = read_sets(study, folder)
    runs = _part(plan_runs(study), *part)
    keys = [_key(run, study, datasets) for run in runs]
    for number, (run, key) in enumerate(zip(runs, keys, strict=True), start=1):
        path = _path(output, run)
        result = _read(path, key)
        if result is None:
            watcher.begin(run, number, len(runs))
            result = _run(run, key, study, datasets, output / "models", watcher)
            with atomic_file(path, force=True) as temporary:
                temporary.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if not keep_models:
            _forget(run, runs[number:], output / "models")
        yield result


def _part(runs: Sequence[Run], number: int, count: int) -> list[Run]:
    """Deal the runs out by their trainings, and give one process its share."""
    trainings: dict[str, int] = {}
    for run in runs:
        trainings.setdefault(run.weights_key, len(trainings))
    return [run for run in runs if trainings[run.weights_key] % count == number - 1]


def stored_results(study: Study, folder: Path, output: Path) -> list[RunResult]:
    """Give the results of the study that are there, whoever ran them; for a report before the end.

    Raises:
        InputError: a file that is no result.
    """
    datasets = read_sets(study, folder)
    found = (_read(_path(output, run), _key(run, study, datasets)) for run in plan_runs(study))
    return [result for result in found if result is not None]


def _path(output: Path, run: Run) -> Path:
    return output / "runs" / f"{run.variant.replace('/', '+')}-{run.seed}.json"


def _run(
    run: Run, key: str, study: Study, datasets: Sequence[RetrievalSet], models: Path, watcher: Watcher
) -> RunResult:
    """Train unless the model is there, and score."""
    steps, tokens, seconds, loss = 0, 0, 0.0, None
    source: str | Path = run.recipe.base.source
    if run.settings.trained:
        source = models / run.weights_key
        if not source.exists():
            result = train(run.recipe, source, resume=True, on_step=watcher.step(), open_teacher=open_teacher)
            if not result.finished:
                raise TrainingError(
                    f"stopped within variant {run.variant}, seed {run.seed}", do="run it again: it goes on from here"
                )
        steps, tokens, seconds, loss = _training_figures(source)
    embedder = _load(run, source)
    system = _system(run, embedder, key)
    tasks = tuple(
        score_retrieval(
            embedder,
            dataset,
            system=system,
            task=run.settings.load.task,
            seed=study.evaluation.seed,
            on_progress=watcher.scored,
        )
        for dataset in datasets
    )
    return RunResult(
        variant=run.variant,
        seed=run.seed,
        key=key,
        steps=steps,
        tokens=tokens,
        train_seconds=seconds,
        loss=loss,
        tasks=tasks,
    )


def _load(run: Run, source: str | Path) -> Embedder:
    """Load a model as its variant says; an untrained base takes the recipe's settings."""
    asked = run.settings.load
    chosen: OpenSettings = {"pooling": asked.pooling, "prompts": asked.prompts, "dims": asked.dims}
    if not run.settings.trained:
        model = run.recipe.model
        given = model.model_dump(include=model.model_fields_set & {"attention", "max_tokens"})
        pooling = model.pooling if "pooling" in model.model_fields_set else None
        chosen.update(
            {"pooling": asked.pooling or pooling, "prompts": asked.prompts or model.prompts, **given}  # type: ignore[typeddict-item]
        )
    return Embedder.load(source, **chosen)


def _system(run: Run, embedder: Embedder, key: str) -> System:
    prompts = {role: embedder.spec.prompts.render(role, run.settings.load.task) for role in ROLES}
    return System(name=f"{run.variant} (seed {run.seed})", identity=key, dtype=embedder.dtype, prompts=prompts)


def _training_figures(model: Path) -> tuple[int, int, float, float | None]:
    """Read steps, tokens, seconds and the last tenth's mean loss from a trained model's metrics."""
    lines = (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    events = [event for event in map(json.loads, lines) if "loss" in event]
    last = events[-max(1, len(events) // 10) :]
    loss = sum(event["loss"] for event in last) / len(last) if last else None
    return len(events), sum(event["tokens"] for event in events), events[-1]["seconds"] if events else 0.0, loss


def _weights_key(variant: Variant, recipe: Recipe, sha256: Callable[[Path], str]) -> str:
    if not variant.trained:
        return _digest(recipe.base.model_dump(mode="json"))
    data = {str(source.path): sha256(Path(source.path)) for source in recipe.data}
    return _digest(recipe.model_dump(mode="json"), data)


def _key(run: Run, study: Study, datasets: Sequence[RetrievalSet]) -> str:
    """Hash what a result depends on."""
    sets = [dataset.content_hash for dataset in datasets]
    settings = run.settings.load.model_dump(mode="json")
    model = {} if run.settings.trained else run.recipe.model.model_dump(mode="json")
    return _digest(run.weights_key, settings, model, sets, study.evaluation.seed)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


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
        raise InputError(f"{path} is no result of a run", expected="one", do="remove it and run again") from error
    return result if result.key == key else None


def _forget(run: Run, coming: Sequence[Run], models: Path) -> None:
    """Remove a model that no run to come is scored with."""
    if run.settings.trained and run.weights_key not in {other.weights_key for other in coming}:
        shutil.rmtree(models / run.weights_key, ignore_errors=True)


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
