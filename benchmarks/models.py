"""Retrieval scores of several models at several widths, beside BM25, on parts of local retrieval sets.

    python -m benchmarks.models DATA OUTPUT.json --model slimvec-en --model minilm-l6 [--queries 60 --documents 300]

A part of a set is its first queries by a hash of their ids, as long as their relevant documents fit into the number
asked for, these documents, and others up to that number, long ones cut. Parts are easier than whole sets, and their
scores are not those of whole sets: they compare models on a machine on which whole sets would take hours. Every text is
embedded once by a model, and narrower widths are cut from its vectors. A dtype may stand behind a model's name
(`slimvec-en@int8`); `benchmarks.models_speed` adds what each costs. Scores and intervals are those of `slimvec
evaluate --data`.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimvec import Embedder
from slimvec.data.retrieval import Query, RetrievalSet
from slimvec.data.retrieval_reading import read_retrieval_set
from slimvec.evaluation.results import TaskResult, package_versions
from slimvec.evaluation.retrieval import score_bm25, score_retrieval
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role

SETS = ("code_retrieval", "cacm", "cranfield", "liveqa_med", "medquad_retrieval", "qed_nq_retrieval")
DIMS = (384, 256, 128, 64)
Vectors = NDArray[np.float32]


def part_of(whole: RetrievalSet, *, queries: int, documents: int, characters: int) -> RetrievalSet:
    """Take a part of a set, as the module says; the same part for the same set."""
    chosen: list[Query] = []
    relevant: set[str] = set()
    for query in sorted(whole.queries, key=lambda query: _place(query.id)):
        wanted = relevant | {name for name, grade in whole.qrels[query.id].items() if grade > 0}
        if len(chosen) < queries and len(wanted) <= documents:
            chosen.append(query)
            relevant = wanted
    ids = {query.id for query in chosen}
    order = sorted(whole.documents, key=lambda document: (document.id not in relevant, _place(document.id)))
    kept = {document.id for document in order[:documents]}
    return replace(
        whole,
        name=f"{whole.name}, part",
        documents=tuple(
            replace(document, text=document.text[:characters]) for document in whole.documents if document.id in kept
        ),
        queries=tuple(query for query in whole.queries if query.id in ids),
        qrels={
            name: {document: grade for document, grade in grades.items() if document in kept}
            for name, grades in whole.qrels.items()
            if name in ids
        },
    )


def read_parts(data: Path, *, queries: int, documents: int, characters: int) -> list[RetrievalSet]:
    """Read the part of each set; arguments as for `part_of`."""
    return [
        part_of(read_retrieval_set(data / name), queries=queries, documents=documents, characters=characters)
        for name in SETS
    ]


def _place(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


@dataclass(eq=False)
class Remembering:
    """An embedder that embeds every text once and cuts its vectors to the width asked for.

    Attributes:
        embedder: The model.
        dims: Width of the vectors it gives.
        known: Whole vector, tokens and truncation by role and text.
    """

    embedder: Embedder
    dims: int = 0
    known: dict[tuple[str, str], tuple[Vectors, int, int]] = field(default_factory=dict)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: Callable[[int], None] | None = None,  # noqa: ARG002  as the protocol has it
    ) -> Embeddings:
        """Embed texts: [N, dims] unit vectors."""
        missing = list(dict.fromkeys(text for text in texts if (role, text) not in self.known))
        if missing:
            made = self.embedder.embed(missing, role=role, task=task)
            rows = zip(missing, made.vectors, made.tokens.tolist(), made.truncated.tolist(), strict=True)
            self.known |= {(role, text): (vector, tokens, cut) for text, vector, tokens, cut in rows}
        vectors, tokens, truncated = zip(*(self.known[role, text] for text in texts), strict=True)
        cut_vectors = np.stack(vectors)[:, : self.dims]
        return Embeddings(
            cut_vectors / np.linalg.norm(cut_vectors, axis=1, keepdims=True),
            np.array(tokens, dtype=np.int32),
            np.array(truncated, dtype=np.int8),
        )


def load_named(source: str, max_tokens: int) -> Embedder:
    """Load a model; a dtype may stand behind its name, as in `slimvec-en@int8`."""
    name, _, dtype = source.partition("@")
    return Embedder.load(name, dtype=dtype or "auto", max_tokens=max_tokens)


def score_model(source: str, sets: Sequence[RetrievalSet], widths: Sequence[int], max_tokens: int) -> dict[str, Any]:
    """Score a model on all sets at its full width and at narrower ones."""
    embedder = load_named(source, max_tokens)
    remembering = Remembering(embedder)
    scores = {}
    start = time.perf_counter()
    for dims in (embedder.dims, *(width for width in widths if width < embedder.dims)):
        remembering.dims = dims
        scores[str(dims)] = _summary([score_retrieval(remembering, part) for part in sets])
        print(f"{source}, {dims} dims: {scores[str(dims)]['mean']['value']:.3f}", flush=True)
    return {"engine": embedder.engine, "identity": embedder.identity.sha256, "dtype": embedder.dtype} | {
        "seconds": round(time.perf_counter() - start, 1),
        "dims": scores,
    }


def _summary(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Give nDCG@10 by set, and its mean over sets with the interval over queries, each set weighing the same."""
    values = [result.values for result in results]
    generator = np.random.default_rng(0)
    drawn = np.mean([row[generator.integers(len(row), size=(2000, len(row)))].mean(axis=1) for row in values], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    mean = {"value": float(np.mean([row.mean() for row in values])), "low": float(low), "high": float(high)}
    return {
        "mean": mean,
        "sets": {result.task: result.score.model_dump() for result in results},
        "per_query": {result.task: [round(value, 5) for value in result.values.tolist()] for result in results},
        "truncated_share": {result.task: round(result.truncated_share or 0.0, 4) for result in results},
    }


def compare(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    """Give the mean difference of two systems over sets, with its interval over paired queries."""
    pairs = [
        np.asarray(first["per_query"][name]) - np.asarray(second["per_query"][name]) for name in first["per_query"]
    ]
    generator = np.random.default_rng(0)
    drawn = np.mean([row[generator.integers(len(row), size=(2000, len(row)))].mean(axis=1) for row in pairs], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": float(np.mean([row.mean() for row in pairs])), "low": float(low), "high": float(high)}


def table(result: dict[str, Any]) -> str:
    """Lay the result out in Markdown: nDCG@10 of each system and width, by set and on average."""
    names = list(result["sizes"])
    sizes = [
        f"{name.removesuffix(', part')} ({queries} in {documents})"
        for name, (queries, documents) in result["sizes"].items()
    ]
    lines = ["| | dims | mean of the sets | " + " | ".join(sizes) + " |", "| --- " * (len(names) + 3) + "|"]
    for model, found in result["models"].items():
        for dims, scores in found["dims"].items():
            cells = [f"{scores['sets'][name]['value']:.3f}" for name in names]
            lines.append(f"| {model} | {dims} | {shown(scores['mean'])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(mean: Mapping[str, float]) -> str:
    """Write a mean with its interval."""
    return f"{mean['value']:.3f} [{mean['low']:.3f}, {mean['high']:.3f}]"


def main() -> None:
    """Score all models and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--characters", type=int, default=500)
    parser.add_argument("--max-tokens", type=int, default=256)
    given = parser.parse_args()
    sets = read_parts(given.data, queries=given.queries, documents=given.documents, characters=given.characters)
    result = json.loads(given.output.read_text()) if given.output.exists() else {}
    result["settings"] = {name: value for name, value in vars(given).items() if isinstance(value, int)}
    result["sizes"] = {part.name: [len(part.queries), len(part.documents)] for part in sets}
    result["hashes"] = {part.name: part.content_hash for part in sets}
    result["versions"] = dict(package_versions())
    models = result.setdefault("models", {})
    models["bm25"] = {"dims": {"": _summary([score_bm25(part) for part in sets])}}
    for source in given.model:
        models[source] = score_model(source, sets, DIMS, given.max_tokens)
        given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
