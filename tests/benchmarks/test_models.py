"""Scores of models on parts of sets: the parts, and vectors that are cut rather than computed again."""

import numpy as np

from benchmarks.models import Remembering, compare, part_of
from benchmarks.models_speed import Contestant, measure, table
from slimvec import Embedder
from slimvec.data.retrieval import Document, Query, RetrievalSet
from tests import tiny

WHOLE = RetrievalSet(
    "made",
    tuple(Document(f"d{i}", f"text {i} " * 9) for i in range(30)),
    tuple(Query(f"q{i}", f"query {i}") for i in range(10)),
    {f"q{i}": {f"d{2 * i}": 1, f"d{2 * i + 1}": 0} for i in range(10)},
)


def test_a_part_holds_what_its_queries_ask_for_and_is_the_same_each_time():
    part = part_of(WHOLE, queries=4, documents=12, characters=20)
    assert (len(part.queries), len(part.documents)) == (4, 12)
    kept = {document.id for document in part.documents}
    for query in part.queries:
        assert any(grade > 0 for name, grade in part.qrels[query.id].items() if name in kept)
        assert part.qrels[query.id].keys() <= kept
    assert max(len(document.text) for document in part.documents) == 20
    assert part.content_hash == part_of(WHOLE, queries=4, documents=12, characters=20).content_hash
    crowded = part_of(WHOLE, queries=4, documents=2, characters=20)
    assert (len(crowded.queries), len(crowded.documents)) == (2, 2)


def test_narrower_vectors_are_those_the_model_gives():
    embedder = Embedder.from_model(tiny.embedding_model())
    remembering = Remembering(embedder, dims=32)
    texts = ["a cat", "the dog", "a cat"]
    whole = remembering.embed(texts, role="document")
    np.testing.assert_allclose(whole.vectors, embedder.embed_documents(texts), atol=1e-6)
    remembering.dims = 8
    known = dict(remembering.known)
    cut = remembering.embed(texts, role="document")
    np.testing.assert_allclose(cut.vectors, embedder.embed_documents(texts, dims=8), atol=1e-6)
    assert remembering.known == known


def test_systems_are_compared_over_the_same_queries():
    first = {"per_query": {"a": [1.0, 0.5], "b": [0.0, 0.0, 0.3]}}
    second = {"per_query": {"a": [0.5, 0.0], "b": [0.0, 0.0, 0.3]}}
    found = compare(first, second)
    assert found["value"] == 0.25
    assert found["low"] <= 0.25 <= found["high"]


def test_models_are_timed_in_turn_and_laid_out_beside_their_scores():
    asked = []
    contestants = {
        name: Contestant(
            lambda texts, name=name: asked.append((name, len(texts))),
            lambda query, name=name: asked.append((name, query)),
            {"dtype": "float32"},
        )
        for name in ("a", "b")
    }
    found = measure(contestants, ["x"] * 10, ["q"], 2)
    once = [("a", 10), ("a", "q"), ("b", 10), ("b", "q")]
    assert asked[-8:] == [*once, *once[2:], *once[:2]]
    assert found["a"]["dtype"] == "float32"
    assert len(found["b"]["rounds"]["query_ms"]) == 2
    scores = {"": {"mean": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    rows = table({"models": {"bm25": {"dims": scores}, "a": {"dims": scores}}, "speed": {"models": found}}).splitlines()
    assert rows[2].startswith("| bm25 |  | 0.500 [0.400, 0.600] |  |")
    assert rows[3].startswith(f"| a |  | 0.500 [0.400, 0.600] | {found['a']['documents_per_second']:.1f} |")
