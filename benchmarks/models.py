"""Scores of models on the suite of their family, at several widths, beside BM25, with intervals.

    python -m benchmarks.models benchmarks/suites/english.yaml DATA RESULT.json --model bm25 --model minilm-l6 \
        --model slimvec-en@int8 --model mine=FOLDER [--dims 256 --dims 128 --dims 64]

Everything is scored by the code of `slimvec evaluate --suite`. Every text is embedded once by a model, and narrower
widths are cut from its vectors; a run that was stopped goes on. A dtype may stand behind a model (`@int8`), and a name
in front of it (`NAME=`). The mean over tasks weighs each of them the same; its interval draws the samples of each task
by themselves, and the difference of two models pairs them by sample. `benchmarks.models_report` makes tables of it,
`benchmarks.models_speed` adds what each model costs.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimvec.engine.similarity import unit_rows
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.lexical import LEXICAL_NAME, evaluate_bm25
from slimvec.evaluation.models import EvaluatedModel, ModelCard, Prompt, Usage
from slimvec.evaluation.opening import open_evaluated
from slimvec.evaluation.results import EvaluationResult, Score
from slimvec.evaluation.scoring import evaluate_suite
from slimvec.evaluation.suite import Suite, read_suite
from slimvec.evaluation.vector_store import VectorStore
from slimvec.frozen import Frozen, Stored
from slimvec.statistics.intervals import percentile_interval
from slimvec.statistics.resampling import NUM_DRAWS, Values, draw_counts
from slimvec.text.embeddings import Embeddings, OnProgress
from slimvec.text.prompts import Role

Samples = Values | Sequence[float]
DIGITS = 4
"""Decimals of the values of samples that are kept."""


@dataclass(frozen=True)
class Named:
    """A model as it is asked for on the command line.

    Attributes:
        name: In results.
        source: What is loaded.
        dtype: In which data type.
    """

    name: str
    source: str
    dtype: str = "auto"

    @classmethod
    def of(cls, text: str) -> "Named":
        """Read `[NAME=]SOURCE[@DTYPE]`; the name is the rest where it is left out."""
        name, equals, source = text.partition("=")
        loaded, _, dtype = (source if equals else name).partition("@")
        return cls(name, loaded, dtype or "auto")

    def open(self) -> EvaluatedModel:
        """Open the model as `slimvec evaluate` does."""
        return open_evaluated(self.source, dtype=self.dtype)


class WidthScores(Frozen):
    """Scores of a model at one width.

    Attributes:
        dims: The width; 0 for BM25.
        mean: Over the tasks.
        kinds: Mean over the tasks of a type.
        tasks: By task.
        beside_full: Its mean minus that of the full width, paired by sample; None for the full width itself.
    """

    dims: int
    mean: Score
    kinds: Mapping[str, Score]
    tasks: Mapping[str, Score]
    beside_full: Score | None = None


class ModelScores(Frozen):
    """Scores of a model on a suite.

    Attributes:
        card: What is known of it, under the name it has here.
        widths: The full width first.
        values: By task at the full width: a value a sample, whose mean is the score.
        subsets: By task at the full width: score by subset, where there are several.
        num_tokens: Tokens of the texts, repeated ones included; 0 where nobody counts them.
        truncated: Share of the texts that were truncated, by task.
        seconds: Embedding and scoring; little where the vectors were known.
    """

    card: ModelCard
    widths: tuple[WidthScores, ...]
    values: Mapping[str, tuple[float, ...]]
    subsets: Mapping[str, Mapping[str, float]]
    num_tokens: int
    truncated: Mapping[str, float]
    seconds: float


class SuiteScores(Stored):
    """Scores of several models on a suite.

    Attributes:
        suite: Its name.
        about: What it is for.
        sizes: What a score rests on, by task: `80 queries`.
        hashes: SHA-256 over everything a score depends on, by task.
        versions: Versions of the packages the scores depend on.
        models: By name.
    """

    what: ClassVar[str] = "scores of benchmarks.models"

    suite: str
    about: str
    sizes: Mapping[str, str]
    hashes: Mapping[str, str]
    versions: Mapping[str, str]
    models: Mapping[str, ModelScores]


class Narrowed:
    """A model at a narrower width: its vectors, cut and made unit vectors again.

    Args:
        model: Gives whole vectors.
        dims: Width.
    """

    def __init__(self, model: EvaluatedModel, dims: int) -> None:
        self._model, self._dims = model, dims

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._model.card.model_copy(update={"dims": self._dims})

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage, as the model does."""
        return self._model.prompt(usage)

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what the model writes in front of texts."""
        return self._model.render(role, task)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed N texts: [N, dims] unit vectors."""
        found = self._model.embed(texts, role=role, task=task, on_progress=on_progress)
        return replace(found, vectors=unit_rows(found.vectors[:, : self._dims]))


def score_model(named: Named, suite: Suite, data: Path, widths: Sequence[int]) -> tuple[EvaluationResult, ModelScores]:
    """Score a model at its full width and at those of `widths` that are narrower; BM25 has none.

    Returns:
        The evaluation at full width, and what is kept of all.
    """
    start = time.perf_counter()
    if named.source == LEXICAL_NAME:
        full = evaluate_bm25(suite, data=data)
        return full, _kept(named, full, [_at(full, 0)], time.perf_counter() - start)
    model = named.open()
    identity = model.card.identity
    whole = CachedModel(model, None if identity is None else VectorStore(identity))
    full = evaluate_suite(whole, suite, data=data)
    dims = model.card.dims or 0
    scored = [_at(full, dims)]
    for width in sorted((width for width in widths if width < dims), reverse=True):
        narrow = evaluate_suite(Narrowed(whole, width), suite, data=data)
        scored.append(_at(narrow, width, beside=full))
        print(f"{named.name}, {width} dims: {scored[-1].mean.value:.3f}", flush=True)
    return full, _kept(named, full, scored, time.perf_counter() - start)


def _at(result: EvaluationResult, dims: int, *, beside: EvaluationResult | None = None) -> WidthScores:
    return WidthScores(
        dims=dims,
        mean=mean_of_tasks(values_of(result)),
        kinds={kind: mean_of_tasks(own) for kind, own in _by_kind(result).items()},
        tasks={task.task: task.score for task in result.tasks},
        beside_full=None if beside is None else difference(values_of(result), values_of(beside)),
    )


def _kept(named: Named, full: EvaluationResult, widths: Sequence[WidthScores], seconds: float) -> ModelScores:
    subsets = [subset for task in full.tasks for subset in task.subsets]
    return ModelScores(
        card=full.model.model_copy(update={"name": named.name}),
        widths=tuple(widths),
        values={
            task: tuple(round(value, DIGITS) for value in values.tolist()) for task, values in values_of(full).items()
        },
        subsets={
            task.task: {subset.subset: subset.score.value for subset in task.subsets}
            for task in full.tasks
            if len(task.subsets) > 1
        },
        num_tokens=sum(subset.num_tokens for subset in subsets),
        truncated={task.task: task.truncated_share or 0.0 for task in full.tasks},
        seconds=round(seconds, 1),
    )


def values_of(result: EvaluationResult) -> dict[str, Values]:
    """Give the values of samples by task."""
    return {task.task: task.values for task in result.tasks}


def _by_kind(result: EvaluationResult) -> dict[str, dict[str, Values]]:
    """Give the values of samples by type and task."""
    kinds = dict.fromkeys(task.kind for task in result.tasks)
    return {kind: {task.task: task.values for task in result.tasks if task.kind == kind} for kind in kinds}


def mean_of_tasks(values: Mapping[str, Values], *, seed: int = 0) -> Score:
    """Give the mean over tasks, each weighing the same, with its interval over the samples of each.

    Args:
        values: [N] a task, whose mean is the task's score; N may differ.
        seed: Random seed for the draws.
    """
    drawn = np.zeros(NUM_DRAWS)
    for number, own in enumerate(values.values()):
        drawn += draw_counts(len(own), np.random.default_rng([seed, number])) @ own / len(own)
    value = float(np.mean([own.mean() for own in values.values()]))
    interval = percentile_interval(value, drawn / len(values))
    return Score(value=interval.value, low=interval.low, high=interval.high)


def difference(first: Mapping[str, Samples], second: Mapping[str, Samples]) -> Score:
    """Give the mean of one model minus that of another over the tasks both have, paired by sample."""
    shared = [task for task in first if task in second]
    return mean_of_tasks({task: np.asarray(first[task]) - np.asarray(second[task]) for task in shared})


def run(suite: Suite, data: Path, output: Path, models: Sequence[Named], widths: Sequence[int]) -> None:
    """Score models, and put them into a file of results, which is written anew after each.

    Scores of other models are kept where they are from the same data; where they are not, all is begun anew.
    """
    known = SuiteScores.read(output) if output.exists() else None
    for named in models:
        full, scores = score_model(named, suite, data, widths)
        hashes = {task.task: task.dataset_hash for task in full.tasks}
        if known is not None and any(known.hashes.get(task, found) != found for task, found in hashes.items()):
            known = None
        sizes = {task.task: f"{task.num_samples:,} {task.unit}" for task in full.tasks}
        known = SuiteScores(
            suite=suite.name,
            about=suite.about,
            sizes={**(known.sizes if known else {}), **sizes},
            hashes={**(known.hashes if known else {}), **hashes},
            versions=full.versions,
            models={**(known.models if known else {}), named.name: scores},
        )
        known.write(output, force=True)
        print(f"{named.name}: {scores.widths[0].mean.value:.3f} in {scores.seconds:.0f} s", flush=True)


def main() -> None:
    """Score all models and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="a suite's name or file")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", action="append", type=Named.of, required=True)
    parser.add_argument("--dims", action="append", type=int, default=[])
    given = parser.parse_args()
    run(read_suite(given.suite), given.data, given.output, given.model, given.dims)


if __name__ == "__main__":
    main()
