"""Clients of others, unchanged, against a running server."""

import numpy as np
import pytest

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
