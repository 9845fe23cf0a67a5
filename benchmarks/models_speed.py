"""Speed for quality: what ready models cost on this machine, beside the scores that `benchmarks.models` found.

    python -m benchmarks.models_speed DATA RESULT.json --model slimvec-en --model slimvec-en@int8 [--rounds 5]

RESULT.json is one of `benchmarks.models`; it gets the key `speed`. In every round each model embeds the same documents
in one call, and then queries one by one, every second round in the opposite order, so that all meet the same noise.
Models have tokenizers of their own, so documents a second are compared, and not tokens. BM25 stands
in the table for its scores; it costs next to nothing. Model and dtype are written as in `benchmarks.models`.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.machine import this_machine
from benchmarks.models import SETS, load_named, read_parts, shown
from slimvec import Embedder


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    Attributes:
        add: Embeds all documents.
        ask: Embeds one query.
        facts: What it is: engine, dtype.
    """

    add: Callable[[Sequence[str]], object]
    ask: Callable[[str], object]
    facts: Mapping[str, str] = field(default_factory=dict)


def contestant(source: str, max_tokens: int) -> Contestant:
    """Open a model."""
    embedder = load_named(source, max_tokens)
    facts = {"engine": embedder.engine, "isa": embedder.engine_isa, "dtype": embedder.dtype}
    return Contestant(partial(_embed, embedder), lambda query: embedder.embed([query], role="query"), facts)


def _embed(embedder: Embedder, documents: Sequence[str]) -> object:
    return embedder.embed(documents, role="document")


def measure(
    contestants: Mapping[str, Contestant], documents: Sequence[str], queries: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Time all in turn.

    Returns:
        By name: documents a second and milliseconds a query, each as the median of the rounds and all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    milliseconds: dict[str, list[float]] = {name: [] for name in contestants}
    for one in contestants.values():  # warm
        one.add(documents[:8])
        one.ask(queries[0])
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            contestants[name].add(documents)
            seconds[name].append(time.perf_counter() - start)
            milliseconds[name].append(median(_times(contestants[name].ask, queries)))
        print(f"round {turn + 1} of {rounds}", flush=True)
    return {
        name: {
            **one.facts,
            "documents_per_second": round(len(documents) / median(seconds[name]), 2),
            "query_ms": round(median(milliseconds[name]), 2),
            "rounds": {
                "documents_per_second": [round(len(documents) / taken, 2) for taken in seconds[name]],
                "query_ms": [round(taken, 2) for taken in milliseconds[name]],
            },
        }
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


def table(result: Mapping[str, Any]) -> str:
    """Lay out speed beside quality in Markdown, a line for each model and width."""
    lines = ["| | dims | nDCG@10 | documents a second | ms a query |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, found in result["models"].items():
        speed = result["speed"]["models"].get(name)
        cost = f"{speed['documents_per_second']:.1f} | {speed['query_ms']:.1f}" if speed else " | "
        for dims, scores in found["dims"].items():
            lines.append(f"| {name} | {dims} | {shown(scores['mean'])} | {cost} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Time the models and write what came out into the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--documents", type=int, default=96)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--characters", type=int, default=500)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    each = -(-given.documents // len(SETS)), -(-given.queries // len(SETS))
    parts = read_parts(given.data, queries=each[1], documents=each[0], characters=given.characters)
    documents = [document.content for part in parts for document in part.documents]
    queries = [query.text for part in parts for query in part.queries]
    contestants = {name: contestant(name, given.max_tokens) for name in given.model}
    result = json.loads(given.result.read_text())
    result["speed"] = {
        "machine": this_machine().model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "documents": len(documents),
        "queries": len(queries),
        "models": measure(contestants, documents, queries, given.rounds),
    }
    given.result.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
