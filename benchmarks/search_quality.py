"""What vectors in fewer bytes cost in ranking: `python -m benchmarks.search_quality --sets SET...`.

Whole retrieval sets, indexed as `slimvec index` does and searched by vectors held as float32, int8 and binary. Exit
code 1 when int8 or binary loses more than .01 nDCG@10 on one of them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from benchmarks.machine import Machine, this_machine
from benchmarks.results import Frozen, write_json
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.ranking.metrics import ndcg
from slimvec.search.index import Index
from slimvec.search.migration import migrate
from slimvec.search.settings import VectorKind
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role

KINDS: tuple[VectorKind, ...] = get_args(VectorKind)
LIMIT_NDCG = 0.01
DEPTH = 10
_MOST_QUERIES = 1000


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


class SearchQualityResult(Frozen):
    """All sets in all forms, and whether the limit holds.

    Attributes:
        model: Its vectors.
        machine: Where.
        quality: By set and form.
        failures: Limits that were missed.
    """

    model: str
    machine: Machine
    quality: tuple[QualityResult, ...]
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

    @property
    def as_embedder(self) -> Embedder:
        """This itself, which has all that an embedder has."""
        return cast(Embedder, self)

    def embed(self, texts: Sequence[str], *, role: Role = "document", **options: Any) -> Embeddings:
        """Give vectors, computed or remembered; tokens are not counted."""
        missing = list(dict.fromkeys(text for text in texts if (role, text) not in self.known))
        if missing:
            made = self._embedder.embed(missing, role=role, on_bad="mark", on_progress=options.get("on_progress"))
            self.known |= {(role, text): vector for text, vector in zip(missing, made.vectors, strict=True)}
        return Embeddings.uncounted(np.stack([self.known[role, text] for text in texts]))


def measure_quality(
    folder: Path, embedder: Remembering, work: Path, model: str, num_documents: int | None
) -> list[QualityResult]:
    """Index a retrieval set in each form, and score it."""
    data = read_retrieval_set(folder).sample(num_queries=_MOST_QUERIES, num_documents=num_documents, seed=0)
    source = work / f"{data.name}.jsonl"
    source.write_text(
        "".join(json.dumps({"id": one.id, "title": one.title, "text": one.text}) + "\n" for one in data.documents)
    )
    index = Index.create(work / data.name, embedder.as_embedder, model=model)
    index.update([source])
    vectors = embedder.embed([query.text for query in data.queries], role="query").vectors
    results = []
    for kind in KINDS:
        if kind != "float32":
            settings = index.description.settings.model_copy(update={"vectors": kind})
            migrate(index.folder, embedder.as_embedder, settings, model=model)
            index = Index.open(index.folder, embedder=embedder.as_embedder)
        gains = np.zeros((len(data.queries), DEPTH))
        for number, (query, vector) in enumerate(zip(data.queries, vectors, strict=True)):
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


def failures(quality: Sequence[QualityResult]) -> list[str]:
    """Name the sets on which a form loses too much."""
    exact = {one.name: one.ndcg_at_10 for one in quality if one.vectors == "float32"}
    return [
        f"{one.name}, {one.vectors}: nDCG@10 {one.ndcg_at_10:.4f}, float32 {exact[one.name]:.4f}"
        for one in quality
        if exact[one.name] - one.ndcg_at_10 > LIMIT_NDCG
    ]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of retrieval sets")
    parser.add_argument("--num-documents", type=int, help="of each set, with what is judged; default all")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search-quality.json"))
    settings = parser.parse_args()
    embedder = Remembering(Embedder.load(settings.model))
    quality: list[QualityResult] = []
    with tempfile.TemporaryDirectory() as name:
        for folder in settings.sets:
            quality += measure_quality(folder, embedder, Path(name), settings.model, settings.num_documents)
    missed = failures(quality)
    result = SearchQualityResult(
        model=settings.model, machine=this_machine(), quality=tuple(quality), failures=tuple(missed)
    )
    write_json(result, settings.output)
    print("\n".join(missed) or "the limit holds")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
