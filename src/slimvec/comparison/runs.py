"""Running a study: train each variant with each seed, score it, and keep every result by what it depends on.

A run is known by a hash of its recipe, its data and what it is scored on, so a study that was killed goes on where it
stopped, one that grew keeps what it has, and a result of another recipe is never taken for this one's. Runs that read
one model with different poolings or prompts are scored together, on states and documents that are computed once.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from slimvec.comparison.context_mixing import measure_mixing
from slimvec.comparison.plan import Material, Run
from slimvec.comparison.probing import probe_reader
from slimvec.comparison.shared_states import PooledReader, SharedStates
from slimvec.comparison.study import run_name
from slimvec.comparison.trainings import Training, TrainingFigures, provide
from slimvec.engine.embedder import Embedder
from slimvec.engine.frozen import open_split
from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import TaskResult, package_versions
from slimvec.evaluation.retrieval import score_retrieval
from slimvec.evaluation.slimvec_model import describe_embedder
from slimvec.files import write_text
from slimvec.frozen import Frozen
from slimvec.model.opening import OpenSettings
from slimvec.model.state_cache import GB
from slimvec.probes.results import ProbeResult
from slimvec.text.prompts import ROLES, Prompts
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


def run_study(
    material: Material,
    output: Path,
    *,
    watcher: Watcher,
    keep_models: bool = False,
    part: tuple[int, int] = (1, 1),
) -> Iterator[RunResult]:
    """Give the result of every run, from the folder where it is there and by running it where it is not.

    Args:
        material: The study, and what it is scored on.
        output: For results and models; made if missing.
        watcher: Informed of what is going on.
        keep_models: Keep trained models once all that is scored with them is.
        part: `(i, n)` does the i-th of n parts of the runs, for n processes that share the output folder. Runs that
            share a training are in one part.

    Raises:
        SlimvecError: a run failed; what was done before is kept, and the next call goes on from there.
    """
    runs = _part(material.runs, *part)
    keys = {run: run.result_key(material) for run in runs}
    states = {run: run.states_key() for run in runs}
    missing = [run for run in missing_runs(material, output) if run in keys]
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


def stored_results(material: Material, output: Path) -> list[RunResult]:
    """Give the results of the study that are there, whoever ran them; for a report before the end.

    Raises:
        InputError: a file that is no result.
    """
    return [result for _, result in _stored(material, output) if result is not None]


def missing_runs(material: Material, output: Path) -> list[Run]:
    """List the runs of the study that have no result yet; errors as for `stored_results`."""
    return [run for run, result in _stored(material, output) if result is None]


def _stored(material: Material, output: Path) -> list[tuple[Run, RunResult | None]]:
    return [(run, _read(_path(output, run), run.result_key(material))) for run in material.runs]


def _path(output: Path, run: Run) -> Path:
    return output / "runs" / f"{run_name(run.variant)}-{run.seed}.json"


def _score(keys: Mapping[Run, str], material: Material, models: Path, watcher: Watcher) -> dict[Run, RunResult]:
    """Score runs, given with their keys, that open one model alike; train first what is not there."""
    first = next(iter(keys))
    source = provide(first.training, models, announce=watcher.train)
    with _load(first, source, material.study.evaluation.cache_states) as embedder:
        poolings = {run: run.pooling(embedder) for run in keys}
        states = SharedStates(embedder, list(dict.fromkeys(poolings.values())))
        readers = {run: states.read(pooling, run.prompts(embedder)) for run, pooling in poolings.items()}
        cards = {run: _card(run, embedder, readers[run].prompts, key) for run, key in keys.items()}
        tasks: dict[Run, list[TaskResult]] = {run: [] for run in keys}
        for dataset in material.datasets:
            for run in keys:
                load, reader = run.settings.load, readers[run]
                task = load.tasks.get(dataset.name, load.task)
                result = score_retrieval(
                    reader,
                    dataset,
                    prompts=_rendered(reader.prompts, task),
                    task=task,
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
    """Load a model as its variant says, but for pooling and prompts; an untrained base takes the recipe's settings."""
    asked, model = run.settings.load, run.training.recipe.model
    chosen: OpenSettings = {"dims": asked.dims, "recency": asked.recency}
    chosen.update({"echo": asked.echo, "num_layers": asked.num_layers})
    if not run.training.trained:
        given = model.model_dump(include=model.model_fields_set & {"attention", "max_tokens", "num_layers"})
        chosen.update(given)  # type: ignore[typeddict-item]
    frozen = run.training.recipe.tuning.num_frozen
    if not cache_states or not frozen:
        yield Embedder.load(source, **chosen)
        return
    with open_split(source, frozen, max_bytes=int(cache_states * GB), **chosen) as embedder:
        yield embedder


def _card(run: Run, embedder: Embedder, prompts: Prompts, key: str) -> ModelCard:
    card = describe_embedder(embedder, name=f"{run.variant} (seed {run.seed})", identity=key)
    return card.model_copy(update={"prompts": _rendered(prompts, run.settings.load.task)})


def _rendered(prompts: Prompts, task: str | None) -> dict[str, str]:
    return {role: prompts.render(role, task) for role in ROLES}


def _read(path: Path, key: str) -> RunResult | None:
    """Read a result that is there and depends on the same things.

    Raises:
        InputError: the file is something else.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", expected="a result of a run", do="remove it and run again")
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
