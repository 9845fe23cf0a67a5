"""`/v1/search` and what belongs to it: the command line's own search, over HTTP."""

import json
import shutil

import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.search.index import Index
from slimvec.search.migration import migrate
from slimvec.search.searching import search
from slimvec.serving.search_routes import ServedIndex
from tests.search.support import make_index, save_tiny, write_documents
from tests.serving.conftest import HOSTILE_NAME
from tests.serving.running import running

QUERY = "what do cats eat?"


def test_hits_are_those_of_the_search(searching, library):
    index = Index.open(library, embedder=searching.embedder)
    for ranking in ("hybrid", "vector", "text"):
        found = searching.post("/v1/search", {"query": QUERY, "ranking": ranking, "top": 3}).json()
        expected = search(index, QUERY, ranking=ranking, top=3)
        assert [hit["text"] for hit in found["hits"]] == [hit.text for hit in expected.hits]
        assert found["hits"][0]["highlight"] == json.loads(expected.hits[0].highlight.model_dump_json())
        assert abs(found["hits"][0]["score"] - expected.hits[0].score) < 1e-4
        assert found["prompt"] == expected.prompt
    assert "cats.md" in found["hits"][0]["path"]


def test_filters_and_wrong_questions(searching):
    found = searching.post("/v1/search", {"query": QUERY, "kinds": ["code"], "highlight": "words"}).json()
    assert {hit["kind"] for hit in found["hits"]} == {"code"}
    assert found["num_searched"] == len(found["hits"])
    paths = searching.post("/v1/search", {"query": QUERY, "paths": ["*.jsonl"], "after": "2000-01-01"}).json()
    assert {hit["path"].rsplit(".", 1)[1] for hit in paths["hits"]} == {"jsonl"}
    assert searching.post("/v1/search", {"query": QUERY, "before": "1999-01-01"}).json()["hits"] == []
    for wrong in (
        {"query": " "},
        {"query": QUERY, "top": 0},
        {"query": QUERY, "ranking": "best"},
        {"query": QUERY, "kinds": ["poem"]},
        {"query": QUERY, "after": "yesterday"},
        {"query": QUERY, "before": "0001-01-01"},
        {"query": QUERY, "task": "unknown"},
    ):
        assert searching.post("/v1/search", wrong).status_code == 400
    refused = searching.post("/v1/search", {"query": QUERY, "rerank": 5})  # a model without a language model
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unprocessable")
    tricks = {"query": "' OR 1=1 --", "paths": ["'); DROP TABLE chunks; --", "**\u0000", "[", "\\"], "ranking": "text"}
    assert searching.post("/v1/search", tricks).json()["hits"] == []


def test_the_index_and_its_documents_are_described(searching, server):
    info = searching.get("/v1/index").json()
    assert (info["served"], info["model"], info["identity"]) == (True, "tiny", searching.embedder.identity.sha256)
    hit = searching.post("/v1/search", {"query": "turtles", "ranking": "text"}).json()["hits"][0]
    assert hit["path"].endswith(HOSTILE_NAME)
    found = searching.get("/v1/documents", params={"path": hit["path"], "around": hit["number"]}).json()
    assert hit["text"] in [chunk["text"] for chunk in found["chunks"]]
    for path in ("/etc/passwd", "../index.json", "", "' OR 1=1 --", "\u0000"):
        assert searching.get("/v1/documents", params={"path": path}).status_code == 404
    assert server.get("/v1/index").json()["served"] is False
    refused = server.post("/v1/search", {"query": QUERY})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_index")


def test_an_index_of_another_model_is_not_served(folder, library):
    with (
        running({"small": Embedder.load(folder, dims=8)}) as found,
        pytest.raises(ModelError, match="which is not served; expected the model of the index among those of --model"),
    ):
        ServedIndex.open(library, found.models)


def test_an_index_that_another_model_takes_over_is_searched_by_words_alone(folder, tmp_path):
    embedder, other = Embedder.load(folder), save_tiny(tmp_path / "other", seed=1)
    index = make_index(tmp_path / "index", embedder, write_documents(tmp_path / "docs"), model=folder)
    with running({"tiny": embedder}, index=index.folder) as found:
        hit = found.post("/v1/search", {"query": QUERY}).json()["hits"][0]
        migrate(index.folder, other, index.description.settings, model=str(tmp_path / "other"))
        for _ in range(2):
            refused = found.post("/v1/search", {"query": QUERY})
            assert refused.status_code == 422
            assert "is not the model that made" in refused.json()["error"]["message"]
        assert found.post("/v1/search", {"query": QUERY, "ranking": "text"}).json()["hits"]
        assert found.get("/v1/documents", params={"path": hit["path"]}).json()["num_chunks"] > 0
        assert found.get("/v1/index").json()["model"] is None
        shutil.rmtree(index.folder)
        lost = found.post("/v1/search", {"query": QUERY, "ranking": "text"})
        assert (lost.status_code, lost.json()["error"]["code"]) == (500, "index_unreadable")
