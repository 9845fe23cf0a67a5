"""The approximate index: made when it is due, measured on the user's own sentences, and never without."""

import json

import pytest

from slimvec.ranking.fusion import Ranked
from slimvec.search import approximation
from slimvec.search.index import Index
from tests.search.support import make_index

WORDS = ["river", "stone", "light", "paper", "window", "garden", "music", "silver", "engine", "forest"]


@pytest.fixture(scope="module", params=["float32", "int8", "binary"])
def index(request, tmp_path_factory, embedder, model):
    folder = tmp_path_factory.mktemp("approximation")
    texts = [f"{WORDS[n % 10]} {WORDS[n // 10 % 10]} {WORDS[n // 100]} is number {n}" for n in range(300)]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    index = make_index(folder / "index", embedder, folder / "rows.jsonl", model=model, vectors=request.param)
    index.update(approximate=True)
    return index


def test_it_is_measured_and_used(index):
    found = index.description.approximation
    assert found is not None
    assert found.recall >= approximation.RECALL
    assert (found.num_chunks, found.num_queries) == (300, approximation.NUM_QUERIES)
    queries = approximation.own_queries(index.table, index.embedder)
    exact = [index.columns.search(index.table, query, top=10) for query in queries]
    measured = approximation.measure_recall(index.table, index.columns, queries, exact, num_probes=found.num_probes)
    assert measured == pytest.approx(found.recall)
    result = index.search("silver engine", ranking="vector")
    assert (result.is_exact, result.recall) == (False, found.recall)
    assert index.search("silver engine", ranking="vector", exact=True).is_exact


def test_it_is_taken_away_and_not_made_where_it_finds_too_little(index, monkeypatch):
    index.update(approximate=False)
    assert index.description.approximation is None
    assert index.search("silver engine", ranking="vector").is_exact
    monkeypatch.setattr(approximation, "RECALL", 1.1)
    index.update(approximate=True)
    assert Index.open(index.folder).description.approximation is None
    assert "vector_idx" not in index.table.indexes()
    assert "bits_idx" not in index.table.indexes()


def test_equal_chunks_count_for_each_other(index):
    (query, *_) = approximation.own_queries(index.table, index.embedder)
    best = index.columns.search(index.table, query, top=10)
    twins = Ranked([row + 10**6 for row in best.rows], best.scores)
    measured = approximation.measure_recall(index.table, index.columns, [query], [twins], num_probes=10**3)
    assert measured == 1
    nearer = Ranked(best.rows, [score + 0.5 for score in best.scores])
    assert approximation.measure_recall(index.table, index.columns, [query], [nearer], num_probes=10**3) < 0.5


@pytest.mark.parametrize(("num_chunks", "measured", "due"), [(49_999, None, False), (50_000, None, True)])
def test_when_it_is_due(num_chunks, measured, due):
    assert approximation.is_due(num_chunks, measured) == due
