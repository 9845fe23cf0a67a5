"""Scores of models at several widths: vectors that are cut rather than computed again, and paired differences."""

import numpy as np
import pytest

from benchmarks.models import Named, Narrowed, SuiteScores, difference, mean_of_tasks, run
from benchmarks.models_speed import Contestant, measure
from slimvec import Embedder
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.suite import Suite, TaskEntry, read_suite
from tests import tiny
from tests.evaluation.local_sets import write_sets

SUITE = Suite(
    name="s",
    tasks=(
        TaskEntry(name="find", kind="retrieval", limit=12, documents=30),
        TaskEntry(name="sts", kind="sts", folder="alike", file="test.jsonl", by="lang"),
    ),
)


@pytest.mark.parametrize("name", ["english", "multi", "tibetan"])
def test_suites_of_the_families_are_read(name):
    assert read_suite(f"benchmarks/suites/{name}.yaml").name == name


def test_models_are_named_with_or_without_a_dtype():
    assert Named.of("slimvec-en@int8") == Named("slimvec-en@int8", "slimvec-en", "int8")
    assert Named.of("mine=runs/a=b@float32") == Named("mine", "runs/a=b", "float32")
    assert Named.of("bm25") == Named("bm25", "bm25", "auto")


def test_narrower_vectors_are_those_the_model_gives():
    embedder = Embedder.from_model(tiny.embedding_model())
    narrow = Narrowed(SlimvecModel(embedder, name="m", identity="m"), 8)
    texts = ["a cat", "the dog", "a cat"]
    found = narrow.embed(texts, role="document")
    np.testing.assert_allclose(found.vectors, embedder.embed_documents(texts, dims=8), atol=1e-6)
    assert narrow.card.dims == 8
    assert found.tokens.tolist() == embedder.embed(texts, role="document").tokens.tolist()


def test_tasks_weigh_the_same_and_models_are_paired_by_sample():
    first = {"a": np.array([1.0, 0.5]), "b": np.array([0.0, 0.0, 0.3])}
    assert mean_of_tasks(first).value == pytest.approx((0.75 + 0.1) / 2)
    found = difference(first, {"a": [0.5, 0.0], "c": [1.0]})
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_scores_are_written_after_each_model_and_begun_anew_for_other_data(tmp_path, monkeypatch):
    data = write_sets(tmp_path / "data")
    model = SlimvecModel(Embedder.from_model(tiny.embedding_model()), name="m", identity="m")
    monkeypatch.setenv("SLIMVEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Named, "open", lambda _: model)
    output = tmp_path / "scores.json"
    run(SUITE, data, output, [Named.of("bm25"), Named.of("mine=x")], [8, 4, 999])
    found = SuiteScores.read(output)
    assert found.sizes == {"find": "12 queries", "sts": "48 pairs"}
    assert list(found.models) == ["bm25", "mine"]
    assert list(found.models["bm25"].values) == ["find"]
    mine = found.models["mine"]
    assert [width.dims for width in mine.widths] == [32, 8, 4]
    full, narrow = mine.widths[:2]
    assert full.beside_full is None
    assert narrow.beside_full.value == pytest.approx(narrow.mean.value - full.mean.value)
    assert full.mean.value == pytest.approx(np.mean([full.tasks[name].value for name in ("find", "sts")]))
    assert np.mean(mine.values["sts"]) == pytest.approx(full.tasks["sts"].value, abs=1e-4)
    assert set(mine.subsets["sts"]) == {"a", "b"}
    other = SUITE.model_copy(update={"tasks": (SUITE.tasks[0].model_copy(update={"limit": 5}),)})
    run(other, data, output, [Named.of("bm25")], [])
    assert list(SuiteScores.read(output).models) == ["bm25"]


def test_models_are_timed_in_turn():
    asked = []
    contestants = {
        name: Contestant(
            lambda texts, name=name: asked.append((name, len(texts))) or 40,
            lambda query, name=name: asked.append((name, query)),
            "torch",
            "float32",
        )
        for name in ("a", "b")
    }
    found = measure(contestants, ["x"] * 10, ["q"], 2)
    once = [("a", 10), ("a", "q"), ("b", 10), ("b", "q")]
    assert asked[-8:] == [*once, *once[2:], *once[:2]]
    speed = found["a"]
    assert speed.tokens_per_second.median == pytest.approx(4 * speed.documents_per_second.median)


def test_bm25_is_timed_by_its_index_and_its_queries():
    one = Contestant.of_bm25()
    assert one.add(["a cat sat", "the dog ran"]) == 0
    assert one.ask("dog").argmax() == 1
    assert measure({"bm25": one}, ["a cat", "a dog"], ["cat"], 1)["bm25"].tokens_per_second is None
