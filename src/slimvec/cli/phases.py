"""The phases of the quickstart, and what comes of them."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.hits import Hit, best_hits
from slimvec.cli.models import load_embedder
from slimvec.cli.options import Role
from slimvec.cli.scores import score_sets
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.cli.training import FinishedRun, run_training
from slimvec.data.texts import Item
from slimvec.quickstart.pace import Pace, choose_pace, measure_speed, minutes_for, scored_part, whole_pace
from slimvec.quickstart.questions import choose_questions
from slimvec.reports.amounts import clock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slimvec.data.retrieval import RetrievalSet
    from slimvec.engine.embedder import Embedder, Embeddings
    from slimvec.evaluation.results import EvaluationResult, TaskResult
    from slimvec.quickstart.corpus import StoredCorpus
    from slimvec.training.recipe import Recipe

KEPT = "only what was fetched and read is kept; start again with: slimvec quickstart"
_FETCH_SECONDS, _CORPUS_SECONDS, _MEASURING_SECONDS = 40.0, 30.0, 15.0
"""What the phases before the measurement took on two slow cores."""
_SHOWN = ("mrr_at_10", "recall_at_10")
_LABELS = {"raw": "raw", "trained": "trained", "bm25": "BM25", "bm25_split": "BM25, names split"}


@dataclass(frozen=True)
class Setup:
    """What a quickstart depends on.

    Options:
        minutes N (from 0.1): Time for all of it; how much is done depends on the machine.
        seed N (from 0): Random seed for the order of the data and the adapter.
        base (hidden): The language model to start from.
        root (hidden): A folder of packages to read.
        num_documents (hidden): Documents held out.
        setting (hidden): section.key=value of the recipe.
    """

    minutes: float = 8.0
    seed: int = 0
    base: str = "smollm2-135m"
    root: list[Path] | None = None
    num_documents: int = 1000
    setting: list[str] | None = None


@dataclass(slots=True)
class Stopwatch:
    """Seconds by phase.

    Attributes:
        seconds: Seconds of the phases that are over.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the body."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return round(sum(self.seconds.values()), 3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a quickstart.

    Attributes:
        corpus: The pairs and documents.
        results: Scores by system: the base as it is (`raw`), after training (`trained`), `bm25`, and `bm25_split`, with
            the parts of `snake_case` names as words too: stronger on these documents.
        run: The training.
        answers: Questions and their hits.
        pace: What was chosen to fit the time.
    """

    corpus: "StoredCorpus"
    results: "Mapping[str, EvaluationResult]"
    run: FinishedRun
    answers: list[tuple[str, list[Hit]]]
    pace: Pace

    @property
    def num_documents(self) -> int | None:
        """Documents searched."""
        return self.results["raw"].tasks[0].num_documents

    def rows(self) -> "list[tuple[str, TaskResult]]":
        """Give the rows of the table of scores."""
        return [(_LABELS[name], result.tasks[0]) for name, result in self.results.items()]

    def summary(self) -> Result:
        """Give what the command's JSON holds of it."""
        corpus = named(self.corpus, ("num_train", "num_train_packages", "num_heldout_packages"))
        return {
            **{name: _numbers(result.tasks[0]) for name, result in self.results.items()},
            "answers": [{"query": query, "hits": hits} for query, hits in self.answers],
            "corpus": corpus | {"num_documents": self.num_documents},
            "training": self.run.summary(),
            "pace": self.pace,
        }


class _Remembering:
    """An embedder that keeps the vectors of the documents it embedded last, to answer questions without doing so again.

    Args:
        embedder: Does the work.
    """

    def __init__(self, embedder: "Embedder") -> None:
        self.embedder = embedder
        self.documents: NDArray[np.float32] | None = None

    def embed(self, texts: Sequence[str], *, role: Role, **options: Any) -> "Embeddings":
        """Embed texts. As `Embedder.embed`."""
        embeddings = self.embedder.embed(texts, role=role, **options)
        if role == "document":
            self.documents = embeddings.vectors
        return embeddings


@dataclass(frozen=True, slots=True)
class Quickstart:
    """A quickstart under way.

    Attributes:
        terminal: Shows where it is.
        setup: What to do.
        watch: Times the phases.
    """

    terminal: Terminal
    setup: Setup
    watch: Stopwatch

    def run(self, folder: Path) -> Outcome:
        """Go through all phases.

        Args:
            folder: Exists and is empty; `model`, `heldout` and `results` are written into it.

        Raises:
            SlimvecError: a phase could not be done.
        """
        self.terminal.kept = lambda: KEPT
        base = self._fetch()
        corpus, heldout = self._corpus()
        pace, dataset = self._measure(base, corpus, heldout, folder)
        results = {"raw": self._score("raw", _Remembering(base), dataset, pace)}
        del base
        run = self._train(corpus, folder / "model", pace)
        trained_model = _Remembering(load_embedder(self.terminal, str(folder / "model")))
        results["trained"] = self._score("trained", trained_model, dataset, pace)
        results |= self._score_bm25(dataset)
        answers = self._answer(trained_model, dataset)
        for name, result in results.items():  # in full, the values of each query included
            result.write(folder / "results" / f"{name}.json")
        return Outcome(corpus, results, run, answers, pace)

    def _fetch(self) -> "Embedder":
        with self.watch.phase("fetch"):
            embedder = load_embedder(self.terminal, self.setup.base, expected=_FETCH_SECONDS)
        self._say("fetch", f"{self.setup.base}: {embedder.dims} dims, {embedder.dtype}, {embedder.engine}")
        return embedder

    def _corpus(self) -> "tuple[StoredCorpus, RetrievalSet]":
        from slimvec.data.retrieval_files import read_retrieval_set
        from slimvec.quickstart.corpus import store_corpus, stored_corpus

        setup = self.setup
        with self.watch.phase("corpus"):
            corpus = stored_corpus(setup.root, num_heldout=setup.num_documents)
            if corpus is None:
                description = "reading the documentation of the installed packages"
                with self.terminal.task(description, unit="files", expected=_CORPUS_SECONDS) as task:
                    corpus = store_corpus(
                        setup.root,
                        num_heldout=setup.num_documents,
                        num_processes=1 if setup.root else os.cpu_count() or 1,
                        on_progress=lambda done, total: task.update(completed=done, total=total),
                    )
            dataset = read_retrieval_set(corpus.heldout, name="python-docs")
        self._say(
            "corpus",
            f"documentation of {corpus.num_train_packages} packages: {corpus.num_train:,} pairs to train on, "
            f"{len(dataset.documents):,} documents of {corpus.num_heldout_packages} others to be found",
        )
        return corpus, dataset

    def _recipe(self, corpus: "StoredCorpus", pace: Pace | None = None) -> "Recipe":
        from slimvec.quickstart.recipe import quickstart_recipe

        setup = self.setup
        return quickstart_recipe(setup.base, corpus.train, seed=setup.seed, settings=setup.setting or (), pace=pace)

    def _measure(
        self, base: "Embedder", corpus: "StoredCorpus", heldout: "RetrievalSet", folder: Path
    ) -> "tuple[Pace, RetrievalSet]":
        """See how fast the machine is, and choose what fits the time: the pace, and the documents that are scored."""
        from slimvec.data.retrieval_files import write_retrieval_set

        with self.watch.phase("measuring"), self.terminal.task("measuring", expected=_MEASURING_SECONDS):
            speed = measure_speed(base, self._recipe(corpus), heldout)
        spent = self.watch.total
        pace, whole = choose_pace(speed, 60 * self.setup.minutes - spent), whole_pace(speed)
        dataset = scored_part(heldout, pace, speed.documents)
        (folder / "heldout").mkdir()
        write_retrieval_set(dataset, folder / "heldout")
        self._say("measuring", f"{speed.embedded:,.0f} tokens/s embedded, {speed.trained:,.0f} tokens/s trained")
        self.terminal.print(f"        chosen for the {clock(pace.seconds)} to go: {pace}")
        if whole != pace:
            self.terminal.print(f"        with --minutes {minutes_for(whole, spent)} it would be {whole}")
        return pace, dataset

    def _score(self, name: str, embedder: _Remembering, dataset: "RetrievalSet", pace: Pace) -> "EvaluationResult":
        from slimvec.evaluation.slimvec_model import describe_embedder

        with self.watch.phase(name):
            result = score_sets(
                self.terminal,
                embedder,
                [dataset],
                describe_embedder(embedder.embedder, name=name),
                seed=self.setup.seed,
                doing=f"scoring the {name} model",
                expected=pace.scoring_seconds,
            )
        self._say(name, f"the {name} model finds them with nDCG@10 {result.tasks[0].score:.3f}")
        return result

    def _train(self, corpus: "StoredCorpus", output: Path, pace: Pace) -> FinishedRun:
        with self.watch.phase("training"):
            run = run_training(
                self.terminal,
                self._recipe(corpus, pace),
                output,
                resume=False,
                force=False,
                when_stopped=KEPT,
                expected=pace.training_seconds,
            )
        progress = run.result.progress
        trained = f"{run.result.num_trained / 1e6:.2g} million parameters trained"
        self._say("training", f"{trained} in {progress.step:,} steps over {progress.tokens:,} tokens")
        return run

    def _score_bm25(self, dataset: "RetrievalSet") -> "dict[str, EvaluationResult]":
        """Score BM25, and BM25 with identifiers split."""
        from slimvec.evaluation.results import EvaluationResult, package_versions
        from slimvec.evaluation.retrieval import bm25_card, score_bm25

        seed, results = self.setup.seed, {}
        with self.watch.phase("bm25"), self.terminal.task("scoring BM25"):
            for name, split in (("bm25", False), ("bm25_split", True)):
                tasks = (score_bm25(dataset, split_identifiers=split, seed=seed),)
                card = bm25_card(split_identifiers=split)
                results[name] = EvaluationResult(model=card, tasks=tasks, seed=seed, versions=package_versions())
        return results

    def _answer(self, model: _Remembering, dataset: "RetrievalSet") -> list[tuple[str, list[Hit]]]:
        """Search the documents for three questions."""
        items = [Item(document.id, document.id, document.text, document.title) for document in dataset.documents]
        questions = choose_questions({item.id for item in items})
        with self.watch.phase("answers"):
            assert model.documents is not None  # scoring has embedded them
            vectors = model.embedder.embed_queries(questions)
            hits = best_hits(model.embedder.similarity(vectors, model.documents), items, top=3)
        return list(zip(questions, hits, strict=True))

    def _say(self, phase: str, text: str) -> None:
        """Tell that a phase is over, and how long it took."""
        self.terminal.print(f"{clock(self.watch.seconds[phase]):>6}  {text}")


def _numbers(result: "TaskResult") -> Result:
    """Give the numbers of a result under the names the command promises."""
    main = {"ndcg_at_10": result.score.value, "low": result.score.low, "high": result.score.high}
    return main | {name: result.metrics[name].value for name in _SHOWN}
