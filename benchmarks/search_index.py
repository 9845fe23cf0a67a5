"""An index of 100,000 chunks: `python -m benchmarks.search_index --documents FOLDER... --sets SET...`.

100,000 pieces of real documents in each form; latency beyond the query's embedding, recall of the approximate index,
size on disk. Their vectors are varied ones, not the model's: each lies between a vector that all-MiniLM-L6-v2 has for a
document of the sets and one of its ten nearest, with noise; queries likewise between real query vectors. Embedding as
many texts would take hours here. Neither time nor size depends on what the numbers are; recall does.

Exit code 1 when a limit is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.machine import Machine, this_machine
from benchmarks.results import Frozen, Latency, write_json
from benchmarks.search_quality import KINDS, Remembering
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import SlimvecError
from slimvec.ranking.bm25 import lexical_words
from slimvec.search import approximation
from slimvec.search.approximation import DEPTH, NUM_QUERIES
from slimvec.search.blocks import BLOCK_CHUNKS
from slimvec.search.index import Index
from slimvec.search.readers.kinds import kind_of, read_documents
from slimvec.search.searching import RankingName
from slimvec.search.settings import SETTINGS_NAME, Approximation, VectorKind
from slimvec.search.vectors import VectorColumns, Vectors

LIMIT_MS, LIMIT_RECALL = 50.0, 0.95
PIECE = 500
_NEAREST = 10
_NOISE = 0.3
_ROWS_AT_ONCE = 10_000


class SearchTime(Frozen):
    """Time of a search for ten hits.

    Attributes:
        latency: Beyond the query's embedding, as it was on a machine that may have had other work.
        cpu_ms: Processor time of all threads, the middle one: what it is without other work, at most.
    """

    latency: Latency
    cpu_ms: float


class SizeResult(Frozen):
    """100,000 chunks in one form.

    Attributes:
        vectors: How they are held.
        num_chunks: In the index.
        build_seconds: Writing and all indexes.
        num_bytes: Size of the index.
        approximation: As the index was built and measured.
        recall: Recall of the approximate index on other queries than those it was fitted on.
        latency: By ranking.
    """

    vectors: str
    num_chunks: int
    build_seconds: float
    num_bytes: int
    approximation: Approximation | None
    recall: float | None
    latency: dict[str, SearchTime]


class SearchIndexResult(Frozen):
    """All forms, and whether the limits hold.

    Attributes:
        model: Whose vectors.
        machine: Where.
        load_before: Processes waiting for the cores when it began (one-minute average).
        load_after: When it ended.
        sizes: By form.
        failures: Limits that were missed.
    """

    model: str
    machine: Machine
    load_before: float
    load_after: float
    sizes: tuple[SizeResult, ...]
    failures: tuple[str, ...]


def varied(pool: Vectors, count: int, seed: int) -> Vectors:
    """Draw vectors [count, D] between those of a pool [P, D] and their nearest, with noise."""
    chance = np.random.default_rng(seed)
    near = np.argsort(-pool @ pool.T, axis=1)[:, 1 : _NEAREST + 1]
    first = chance.integers(len(pool), size=count)
    second = near[first, chance.integers(near.shape[1], size=count)]
    share = chance.uniform(0, 0.5, size=(count, 1)).astype(np.float32)
    noise = chance.normal(size=(count, pool.shape[1])).astype(np.float32) * (_NOISE / np.sqrt(pool.shape[1]))
    found = (1 - share) * pool[first] + share * pool[second] + noise
    units: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return units


def gather(folders: Sequence[Path], num_chunks: int) -> list[dict[str, Any]]:
    """Cut documents into so many pieces of `PIECE` characters, as rows of an index without vectors."""
    rows: list[dict[str, Any]] = []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        kind = kind_of(path)
        if kind not in ("text", "markdown", "html", "code") or path.is_symlink() or path.stat().st_size > 1 << 20:
            continue
        try:
            (document,) = read_documents(path)
        except SlimvecError as error:
            print(f"left out: {error}", flush=True)
            continue
        for number, start in enumerate(range(0, len(document.text), PIECE)):
            text = document.text[start : start + PIECE]
            rows.append(
                {
                    "id": f"{path}#{number}", "path": str(path), "source": str(path), "kind": kind, "modified": 0,
                    "file_sha256": "", "file_state": "[0, 0, 0]", "number": number, "is_last": True,
                    "title": document.title, "record": "", "heading": "", "page": None, "first_line": 1,
                    "last_line": 1, "start": start, "end": start + len(text), "num_tokens": 0, "text": text,
                    "words": " ".join(lexical_words(text, split_identifiers=True)),
                }
            )  # fmt: skip
            if len(rows) == num_chunks:
                return rows
    return rows


def measure_size(rows: list[dict[str, Any]], embedder: Remembering, work: Path, model: str) -> list[SizeResult]:
    """Write rows in each form, and time searches."""
    pools = {
        role: np.stack([vector for (known, _), vector in embedder.known.items() if known == role])
        for role in ("query", "document")
    }
    vectors = varied(pools["document"], len(rows), seed=0)
    fitting, asked = (varied(pools["query"], NUM_QUERIES, seed=seed) for seed in (1, 2))
    chosen = np.random.default_rng(3).choice(len(rows), NUM_QUERIES, replace=False)
    queries = [" ".join(rows[number]["text"].split()[:8]) or "x" for number in chosen]
    results = []
    for kind in KINDS:
        started = time.perf_counter()
        index = _written(rows, vectors, fitting, embedder.as_embedder, work / kind, model, kind)
        results.append(
            SizeResult(
                vectors=kind, num_chunks=index.num_chunks, build_seconds=time.perf_counter() - started,
                num_bytes=index.num_bytes, approximation=index.description.approximation,
                recall=_recall(index, asked), latency=_latencies(index, queries, asked),
            )
        )  # fmt: skip
        print(results[-1].model_dump_json(), flush=True)
    return results


def _written(
    rows: list[dict[str, Any]], vectors: Vectors, queries: Vectors, embedder: Embedder, folder: Path, model: str,
    kind: VectorKind,
) -> Index:  # fmt: skip
    """Make an index of rows and vectors, by the parts that `slimvec index` is made of."""
    index = Index.create(folder, embedder, model=model, vectors=kind)
    centre = tuple(vectors[:BLOCK_CHUNKS].mean(axis=0).tolist())
    index.description.model_copy(update={"centre": centre}).write(folder / SETTINGS_NAME)
    index = Index.open(folder, embedder=embedder)
    schema, columns = index.table.schema, _columns(index)
    plain = pa.schema([field for field in schema if field.name not in columns.names])
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        table = pa.Table.from_pylist(rows[start : start + _ROWS_AT_ONCE], schema=plain)
        for name, array in columns.arrays(vectors[start : start + _ROWS_AT_ONCE]).items():
            table = table.append_column(schema.field(name), array.cast(schema.field(name).type))
        index.table.write(table.select(schema.names))
    index.table.settle()
    found = approximation.build(index.table, columns, queries, on_progress=print)
    index.description.model_copy(update={"approximation": found}).write(folder / SETTINGS_NAME)
    return Index.open(folder, embedder=embedder)


def _columns(index: Index) -> VectorColumns:
    """Columns of an index that has its centre."""
    assert index.columns is not None
    return index.columns


def _recall(index: Index, vectors: Vectors) -> float | None:
    """Recall of the approximate index on queries it was not fitted on."""
    if index.description.approximation is None:
        return None
    columns = _columns(index)
    exact = [columns.search(index.table, vector, top=DEPTH) for vector in vectors]
    num_probes = index.description.approximation.num_probes
    return approximation.measure_recall(index.table, columns, vectors, exact, num_probes=num_probes)


def _latencies(index: Index, queries: Sequence[str], vectors: Vectors) -> dict[str, SearchTime]:
    """Time searches for ten hits, query by query, each kind in its turn."""
    forms: dict[str, tuple[RankingName, bool]] = {
        "vector": ("vector", False),
        "vector, exact": ("vector", True),
        "text": ("text", False),
        "hybrid": ("hybrid", False),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for query, vector in zip(queries, vectors, strict=True):
        for name, (ranking, exact) in forms.items():
            started = time.process_time()
            result = index.search(query, vector=vector, ranking=ranking, exact=exact, highlight_by_model=False)
            times[name].append((result.search_seconds * 1e3, (time.process_time() - started) * 1e3))
    return {
        name: SearchTime(
            latency=Latency.of([wall for wall, _ in values[5:]]), cpu_ms=median(cpu for _, cpu in values[5:])
        )
        for name, values in times.items()
    }  # the first ones open files


def failures(sizes: Sequence[SizeResult]) -> list[str]:
    """Name the limits that were missed."""
    found = []
    for size in sizes:
        if size.recall is None or size.recall < LIMIT_RECALL:
            found.append(f"{size.vectors}: recall@10 {size.recall}")
        for name in ("vector", "text", "hybrid"):
            if size.latency[name].latency.median_ms > LIMIT_MS:
                found.append(f"{size.vectors}, {name}: {size.latency[name].latency.median_ms:.0f} ms")
    return found


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of retrieval sets")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="folders of documents")
    parser.add_argument("--num-chunks", type=int, default=100_000)
    parser.add_argument("--num-documents", type=int, default=400, help="of each set, with what is judged")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search-index.json"))
    settings = parser.parse_args()
    before = psutil.getloadavg()[0]
    embedder = Remembering(Embedder.load(settings.model))
    for folder in settings.sets:
        data = read_retrieval_set(folder).sample(num_queries=100, num_documents=settings.num_documents, seed=0)
        embedder.embed([document.content for document in data.documents])
        embedder.embed([query.text for query in data.queries], role="query")
    with tempfile.TemporaryDirectory() as name:
        rows = gather(settings.documents, settings.num_chunks)
        print(f"{len(rows):,} pieces", flush=True)
        sizes = measure_size(rows, embedder, Path(name), settings.model)
    missed = failures(sizes)
    result = SearchIndexResult(
        model=settings.model, machine=this_machine(), load_before=before, load_after=psutil.getloadavg()[0],
        sizes=tuple(sizes), failures=tuple(missed),
    )  # fmt: skip
    write_json(result, settings.output)
    print("\n".join(missed) or "all limits hold")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
