"""Reranking: each judge alone, both fused, and what cannot be asked."""

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.ranking.fusion import fuse_scores
from tests import tiny

QUERY = "who sat?"
DOCUMENTS = ["the cat sat on the mat", "x", "north and south", "the cat sat on the mat"]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "base"
    tiny.save_causal_model(folder)
    return Embedder.load(folder, dtype="float32", max_tokens=15)


def test_each_judge_alone(embedder):
    cosines = embedder.similarity(embedder.embed_queries([QUERY]), embedder.embed_documents(DOCUMENTS))[0]
    found = embedder.rerank(QUERY, DOCUMENTS, weight=0)
    assert [one.index for one in found] == np.argsort(-cosines, kind="stable").tolist()
    assert [one.cosine for one in found] == pytest.approx([float(cosines[one.index]) for one in found])
    assert {one.likelihood for one in found} == {None}
    likelihoods = embedder.language_model.log_likelihood([QUERY], DOCUMENTS)
    found = embedder.rerank(QUERY, DOCUMENTS, weight=1)
    assert [one.likelihood for one in found] == sorted(likelihoods.values[0].tolist(), reverse=True)
    assert {one.cosine for one in found} == {None}
    assert (found.num_tokens, found.num_computed) == (likelihoods.num_tokens, likelihoods.num_computed)
    assert found.num_truncated == 3


def test_both_fused_and_known_cosines_are_not_computed_again(embedder):
    found = embedder.rerank(QUERY, DOCUMENTS, weight=0.3)
    by_index = sorted(found, key=lambda one: one.index)
    wanted = fuse_scores(
        np.array([one.cosine for one in by_index]), np.array([one.likelihood for one in by_index]), 0.3
    )
    assert [one.score for one in by_index] == pytest.approx(wanted.tolist(), abs=1e-5)
    assert [one.index for one in found] == np.argsort(-wanted, kind="stable").tolist()
    known = embedder.rerank(QUERY, DOCUMENTS, weight=0.3, cosines=[one.cosine for one in by_index])
    assert known.documents == found.documents
    assert known.num_computed < found.num_computed
    assert len(known) == 4
    assert known[0] == next(iter(known))


def test_equal_documents_keep_their_order(embedder):
    found = [one.index for one in embedder.rerank(QUERY, DOCUMENTS)]
    assert found.index(0) < found.index(3)


def test_another_model_judges(embedder, tmp_path):
    tiny.save_causal_model(tmp_path / "m", num_hidden_layers=1)
    other = Embedder.load(tmp_path / "m", dtype="float32").language_model
    done: list[int] = []
    found = embedder.rerank(QUERY, DOCUMENTS, weight=1, language_model=other, on_progress=done.append)
    assert sum(done) == 4
    wanted = other.log_likelihood([QUERY], DOCUMENTS).values[0]
    assert [one.likelihood for one in found] == sorted(wanted.tolist(), reverse=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": []}, "no documents; expected a list of documents"),
        ({"documents": "a text"}, "one string; expected a list of texts"),
        ({"weight": 1.5}, r"weight 1.5; expected 0 \(cosine alone\) to 1 \(likelihood alone\)"),
        ({"cosines": [0.5]}, "1 cosines for 4 documents; expected one a document"),
        ({"query": " "}, "text 0 is empty"),
    ],
)
def test_what_cannot_be_asked(embedder, changes, message):
    asked = {"query": QUERY, "documents": DOCUMENTS, **changes}
    with pytest.raises(InputError, match=message):
        embedder.rerank(asked.pop("query"), asked.pop("documents"), **asked)
