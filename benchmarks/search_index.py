"""An index of 100,000 chunks: `python -m benchmarks.search_index --documents FOLDER... --sets SET...`.

Two parts, with all-MiniLM-L6-v2:

- quality: retrieval sets, or their first documents with the queries that these answer, indexed as `slimvec index` does
  and searched by vectors held as float32, int8 and binary.
- size: 100,000 pieces of real documents in each form; latency beyond the query's embedding, recall of the approximate
  index, size on disk. Their vectors are varied ones, not the model's: each lies between a real vector of the sets and
  one of its ten nearest, with noise; queries likewise between real query vectors. Embedding as many texts would take
  hours here. Neither time nor size depends on what the numbers are; recall does.

Exit code 1 when a limit is missed.
"""

import argparse
import json
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
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_reading import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import SlimvecError
from slimvec.ranking.bm25 import lexical_words
from slimvec.ranking.metrics import ndcg
from slimvec.search import approximation
from slimvec.search.approximation import DEPTH, NUM_QUERIES
from slimvec.search.blocks import BLOCK_CHUNKS
from slimvec.search.index import Index
from slimvec.search.migration import migrate
from slimvec.search.readers.kinds import kind_of, read_documents
from slimvec.search.settings import SETTINGS_NAME, Approximation
from slimvec.text.embeddings import Embeddings

KINDS = ("float32", "int8", "binary")
LIMIT_MS, LIMIT_RECALL, LIMIT_NDCG = 50.0, 0.95, 0.01
PIECE = 500
_NEAREST = 10
_NOISE = 0.3
_ROWS_AT_ONCE = 10_000
_MOST_QUERIES = 300


class QualityResult(Frozen):
    """A retrieval set in one form.

    Attributes:
        name: Name of the set.
        vectors: How they are held.
        num_chunks: In the index.
        num_queries: Asked.
        ndcg_at_10: A document stands where its best chunk does.
        num_bytes: Size of the index.
    """

    name: str
    vectors: str
    num_chunks: int
    num_queries: int
    ndcg_at_10: float
    num_bytes: int


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
    """Both parts, and whether the limits hold.

    Attributes:
        model: Whose vectors.
        machine: Where.
        load_before: Processes waiting for the cores when it began (one-minute average).
        load_after: When it ended.
        quality: By set and form.
        sizes: By form.
        failures: Limits that were missed.
    """

    model: str
    machine: Machine
    load_before: float
    load_after: float
    quality: tuple[QualityResult, ...]
    sizes: tuple[SizeResult, ...]
    failures: tuple[str, ...]


class Remembering:
    """An embedder that computes each text once.

    Args:
        embedder: Computes.

    Attributes:
        known: Vectors by role and text.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.known: dict[tuple[str, str], np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, texts: Sequence[str], *, role: str = "document", **options: Any) -> Embeddings:
        """Give vectors, computed or remembered; tokens are not counted."""
        missing = list(dict.fromkeys(text for text in texts if (role, text) not in self.known))
        if missing:
            made = self._embedder.embed(missing, role=role, on_bad="mark", on_progress=options.get("on_progress"))
            self.known |= {(role, text): vector for text, vector in zip(missing, made.vectors, strict=True)}
        return Embeddings.uncounted(np.stack([self.known[role, text] for text in texts]))


def varied(pool: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw vectors [count, D] between those of a pool [P, D] and their nearest, with noise."""
    chance = np.random.default_rng(seed)
    near = np.argsort(-pool @ pool.T, axis=1)[:, 1 : _NEAREST + 1]
    first = chance.integers(len(pool), size=count)
    second = near[first, chance.integers(near.shape[1], size=count)]
    share = chance.uniform(0, 0.5, size=(count, 1)).astype(np.float32)
    noise = chance.normal(size=(count, pool.shape[1])).astype(np.float32) * (_NOISE / np.sqrt(pool.shape[1]))
    found = (1 - share) * pool[first] + share * pool[second] + noise
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def shortened(data: RetrievalSet, num_documents: int | None) -> RetrievalSet:
    """Keep the first documents of a set, and the queries whose answers are all among them."""
    kept = {document.id for document in data.documents[:num_documents]}
    queries = [query for query in data.queries if data.qrels[query.id].keys() <= kept]
    return RetrievalSet(
        name=data.name,
        documents=tuple(data.documents[:num_documents]),
        queries=tuple(queries[:_MOST_QUERIES]),
        qrels={query.id: data.qrels[query.id] for query in queries[:_MOST_QUERIES]},
    )


def measure_quality(
    folder: Path, embedder: Remembering, work: Path, model: str, num_documents: int | None
) -> list[QualityResult]:
    """Index a retrieval set in each form, and score it."""
    data = shortened(read_retrieval_set(folder), num_documents)
    source = work / f"{data.name}.jsonl"

    source.write_text(
        "".join(json.dumps({"id": one.id, "title": one.title, "text": one.text}) + "\n" for one in data.documents)
    )
    index = Index.create(work / data.name, embedder, model=model)
    index.update([source])
    results = []
    for kind in KINDS:
        if kind != "float32":
            settings = index.description.settings.model_copy(update={"vectors": kind})
            migrate(index.folder, embedder, settings, model=model)
            index = Index.open(index.folder, embedder=embedder)
        gains = np.zeros((len(data.queries), DEPTH))
        for number, query in enumerate(data.queries):
            vector = embedder.embed([query.text], role="query").vectors[0]
            hits = index.search(query.text, top=100, ranking="vector", vector=vector, highlight_by_model=False).hits
            ids = list(dict.fromkeys(hit.record for hit in hits))[:DEPTH]
            gains[number, : len(ids)] = [max(0, data.qrels[query.id].get(id_, 0)) for id_ in ids]
        grades = [[grade for grade in data.qrels[query.id].values() if grade > 0] for query in data.queries]
        results.append(
            QualityResult(
                name=data.name, vectors=kind, num_chunks=index.num_chunks, num_queries=len(data.queries),
                ndcg_at_10=float(ndcg(gains, grades, depth=DEPTH).mean()), num_bytes=index.num_bytes,
            )
        )  # fmt: skip
        print(results[-1].model_dump_json(), flush=True)
    return results


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
        index = _written(rows, vectors, fitting, embedder, work / kind, model, kind)
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
    rows: list[dict[str, Any]], vectors: np.ndarray, queries: np.ndarray, embedder: Remembering, folder: Path,
    model: str, kind: str,
) -> Index:  # fmt: skip
    """Make an index of rows and vectors, by the parts that `slimvec index` is made of."""
    index = Index.create(folder, embedder, model=model, vectors=kind)
    centre = tuple(vectors[:BLOCK_CHUNKS].mean(axis=0).tolist())
    index.description.model_copy(update={"centre": centre}).write(folder / SETTINGS_NAME)
    index = Index.open(folder, embedder=embedder)
    schema, columns = index.table.schema, index.columns
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


def _recall(index: Index, vectors: Sequence[np.ndarray]) -> float | None:
    """Recall of the approximate index on queries it was not fitted on."""
    if index.description.approximation is None:
        return None
    probes = index.description.approximation.num_probes
    shares = []
    for vector in vectors:
        exact = set(index.columns.search(index.table, vector, top=DEPTH).rows)
        found = set(index.columns.search(index.table, vector, top=DEPTH, num_probes=probes).rows)
        shares.append(len(exact & found) / DEPTH)
    return float(np.mean(shares))


def _latencies(index: Index, queries: Sequence[str], vectors: Sequence[np.ndarray]) -> dict[str, SearchTime]:
    """Time searches for ten hits, query by query, each kind in its turn."""
    forms = {
        "vector": {"ranking": "vector"},
        "vector, exact": {"ranking": "vector", "exact": True},
        "text": {"ranking": "text"},
        "hybrid": {"ranking": "hybrid"},
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for query, vector in zip(queries, vectors, strict=True):
        for name, form in forms.items():
            started = time.process_time()
            result = index.search(query, vector=vector, highlight_by_model=False, **form)
            times[name].append((result.search_seconds * 1e3, (time.process_time() - started) * 1e3))
    return {
        name: SearchTime(
            latency=Latency.of([wall for wall, _ in values[5:]]), cpu_ms=median(cpu for _, cpu in values[5:])
        )
        for name, values in times.items()
    }  # the first ones open files


def failures(quality: Sequence[QualityResult], sizes: Sequence[SizeResult]) -> list[str]:
    """Name the limits that were missed."""
    found = []
    exact = {one.name: one.ndcg_at_10 for one in quality if one.vectors == "float32"}
    for one in quality:
        if exact[one.name] - one.ndcg_at_10 > LIMIT_NDCG:
            found.append(f"{one.name}, {one.vectors}: nDCG@10 {one.ndcg_at_10:.4f}, float32 {exact[one.name]:.4f}")
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
    parser.add_argument("--num-documents", type=int, help="of each set, the first so many")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search-index.json"))
    settings = parser.parse_args()
    before = psutil.getloadavg()[0]
    embedder = Remembering(Embedder.load(settings.model))
    quality: list[QualityResult] = []
    with tempfile.TemporaryDirectory() as name:
        for folder in settings.sets:
            quality += measure_quality(folder, embedder, Path(name), settings.model, settings.num_documents)
        rows = gather(settings.documents, settings.num_chunks)
        print(f"{len(rows):,} pieces", flush=True)
        sizes = measure_size(rows, embedder, Path(name), settings.model)
    missed = failures(quality, sizes)
    result = SearchIndexResult(
        model=settings.model, machine=this_machine(), load_before=before, load_after=psutil.getloadavg()[0],
        quality=tuple(quality), sizes=tuple(sizes), failures=tuple(missed),
    )  # fmt: skip
    write_json(result, settings.output)
    print("\n".join(missed) or "all limits hold")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
