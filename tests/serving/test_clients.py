"""Clients of others, unchanged, against a running server."""

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.engine.reranking import WEIGHT
from tests.serving.running import running
from tests.tiny import save_causal_model

TEXTS = ["a red fruit", "how do I copy a file?", "x"]


def test_langchains_client(server):
    langchain_openai = pytest.importorskip("langchain_openai")
    found = langchain_openai.OpenAIEmbeddings(
        model="tiny", base_url=f"{server.url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    np.testing.assert_allclose(found.embed_documents(TEXTS), server.embedder.embed_documents(TEXTS), atol=1e-6)
    queries = langchain_openai.OpenAIEmbeddings(
        model="tiny:query", base_url=f"{server.url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    np.testing.assert_allclose(queries.embed_query(TEXTS[1]), server.embedder.embed_queries(TEXTS[1:2])[0], atol=1e-6)


def test_llama_indexs_client(server):
    module = pytest.importorskip("llama_index.embeddings.openai_like")
    found = module.OpenAILikeEmbedding(model_name="tiny", api_base=f"{server.url}/v1", api_key="none")
    expected = server.embedder.embed_documents(TEXTS)
    np.testing.assert_allclose(found.get_text_embedding_batch(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(found.get_query_embedding(TEXTS[0]), expected[0], atol=1e-6)


def test_teis_routes(server):
    expected = server.embedder.embed_documents(TEXTS)
    np.testing.assert_allclose(server.post("/embed", {"inputs": TEXTS}).json(), expected, atol=1e-6)
    np.testing.assert_allclose(server.post("/embed", {"inputs": TEXTS[0]}).json(), expected[:1], atol=1e-6)
    unscaled = np.array(server.post("/embed", {"inputs": TEXTS, "normalize": False}).json())
    np.testing.assert_allclose(unscaled / np.linalg.norm(unscaled, axis=1, keepdims=True), expected, atol=1e-5)
    queries = server.post("/embed", {"inputs": TEXTS, "prompt_name": "query", "dimensions": 4})
    np.testing.assert_allclose(queries.json(), server.embedder.embed_queries(TEXTS, dims=4), atol=1e-6)
    assert queries.headers["x-slimvec-input-type"] == "query"
    refused = server.post("/embed", {"inputs": "x" * 121, "truncate": False})
    assert refused.status_code == 400
    assert refused.json()["error_type"] == "Validation"
    assert server.post("/embed", {"inputs": TEXTS, "prompt_name": "unknown"}).status_code == 400
    info = server.get("/info").json()
    assert (info["model_id"], info["model_sha"]) == ("tiny", server.embedder.identity.sha256)
    assert (info["max_input_length"], info["model_type"]) == (120, {"embedding": {"pooling": "mean"}})


def test_the_apis_page_names_every_route_and_needs_nothing_from_elsewhere(server):
    page = server.get("/docs")
    for path in server.get("/openapi.json").json()["paths"]:
        assert path in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Texts to embed" not in page.text  # docstrings are read for the fields' meaning alone
    assert "Role of the texts" in page.text or "role of the texts" in page.text


def test_reranking_is_the_embedders_in_both_forms(server):
    query = "fruit"
    expected = server.embedder.rerank(query, TEXTS, weight=0.0)
    found = server.post("/rerank", {"query": query, "texts": TEXTS, "raw_scores": True, "return_text": True})
    assert found.headers["x-slimvec-likelihood-weight"] == "0"  # a model without a language model
    assert [row["index"] for row in found.json()] == [one.index for one in expected]
    np.testing.assert_allclose([row["score"] for row in found.json()], [one.score for one in expected], atol=1e-5)
    assert found.json()[0]["text"] == TEXTS[expected[0].index]
    scaled = server.post("/rerank", {"query": query, "texts": TEXTS}).json()
    assert all(0 < row["score"] < 1 for row in scaled)
    body = {"model": "tiny", "query": query, "documents": TEXTS, "top_n": 2, "return_documents": True}
    ranked = server.post("/v1/rerank", body).json()
    assert [row["index"] for row in ranked["results"]] == [one.index for one in expected][:2]
    assert ranked["results"][0]["document"] == {"text": TEXTS[expected[0].index]}
    assert ranked["usage"]["total_tokens"] == expected.num_tokens
    assert server.post("/v1/rerank", {**body, "weight": 0.5}).status_code == 422
    long = {"query": query, "texts": ["short", "x" * 121], "truncate": False}
    assert "text 1 is too long" in server.post("/rerank", long).json()["error"]["message"]


def test_comparison_and_attribution(server):
    found = server.post("/v1/compare", {"texts": TEXTS}).json()
    vectors = server.embedder.embed_documents(TEXTS)
    np.testing.assert_allclose(found["similarity"], vectors @ vectors.T, atol=1e-5)
    assert server.post("/v1/compare", {"texts": ["one"]}).status_code == 400
    shown = server.post("/v1/explain", {"query": "red fruit", "document": TEXTS[0]}).json()
    expected = server.embedder.explain("red fruit", TEXTS[0]).by_word()
    np.testing.assert_allclose(shown["cosine"], expected.cosine, atol=1e-6)
    np.testing.assert_allclose(sum(word["share"] for word in shown["document"]), expected.cosine, atol=1e-5)
    assert "".join(word["text"] for word in shown["document"]) == TEXTS[0]


def test_a_language_model_reranks_by_likelihood_too(tmp_path):
    save_causal_model(tmp_path / "lm")
    with running({"lm": Embedder.load(tmp_path / "lm")}) as found:
        ranked = found.post("/v1/rerank", {"model": "lm", "query": "fruit", "documents": TEXTS}).json()
        expected = found.embedder.rerank("fruit", TEXTS)
        assert (ranked["weight"], WEIGHT) == (WEIGHT, expected.weight)
        assert [row["index"] for row in ranked["results"]] == [one.index for one in expected]
        np.testing.assert_allclose(ranked["results"][0]["likelihood"], expected[0].likelihood, atol=1e-4)
