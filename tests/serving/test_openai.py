"""OpenAI's own client, unchanged, against a running server; and what `/v1` adds."""

import base64

import numpy as np
import openai
import pytest

from slimvec.engine.embedder import Embedder
from tests.serving.running import running
from tests.tiny import tokenizer_backend

TEXTS = ["a red fruit", "how do I copy a file?", "x"]


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def vectors(response):
    return np.array([item.embedding for item in response.data], dtype=np.float32)


def test_the_client_gets_the_embedders_vectors(client, server):
    expected = server.embedder.embed_documents(TEXTS)
    for encoding in ("float", "base64", openai.NOT_GIVEN):
        found = client.embeddings.create(model="tiny", input=TEXTS, encoding_format=encoding)
        rows = found.data
        if encoding == "base64":
            found_vectors = np.array([np.frombuffer(base64.b64decode(row.embedding), "<f4") for row in rows])
        else:
            found_vectors = vectors(found)
        np.testing.assert_allclose(found_vectors, expected, atol=1e-6)
        assert [row.index for row in rows] == [0, 1, 2]
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(map(len, TEXTS))
    assert found.model == "tiny"
    assert found.input_type == "document"
    assert found.truncated == []
    assert found.identity == server.embedder.identity.sha256


def test_one_text_token_ids_and_lists_of_them(client, server):
    ids = [tokenizer_backend().encode(text).ids for text in TEXTS]
    expected = server.embedder.embed_documents(TEXTS)
    for given, rows in ((TEXTS[0], expected[:1]), (ids[0], expected[:1]), (ids, expected)):
        np.testing.assert_allclose(vectors(client.embeddings.create(model="tiny", input=given)), rows, atol=1e-6)


def test_ids_of_another_tokenizer_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="token id 9999; expected ids of the model's own tokenizer; send"):
        client.embeddings.create(model="tiny", input=[5, 9999])
    with pytest.raises(openai.BadRequestError, match="text 1: its token ids are not what the model's tokenizer makes"):
        client.embeddings.create(model="tiny", input=[[70], [200, 200]])  # half of a character, twice


def test_dimensions_cut_and_scale(client, server):
    found = vectors(client.embeddings.create(model="tiny", input=TEXTS, dimensions=5))
    np.testing.assert_allclose(found, server.embedder.embed_documents(TEXTS, dims=5), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for dims in (0, 33):
        with pytest.raises(openai.BadRequestError, match="dim"):
            client.embeddings.create(model="tiny", input=TEXTS, dimensions=dims)


def test_the_input_type_decides_the_prompt_and_is_shown(client, server):
    expected = server.embedder.embed_queries(TEXTS)
    found = client.embeddings.create(model="tiny", input=TEXTS, extra_body={"input_type": "query"})
    np.testing.assert_allclose(vectors(found), expected, atol=1e-6)
    assert found.input_type == "query"
    named = client.embeddings.create(model="tiny:query", input=TEXTS)
    np.testing.assert_allclose(vectors(named), expected, atol=1e-6)
    assert (named.model, named.input_type) == ("tiny", "query")
    task = client.embeddings.create(
        model="tiny", input=TEXTS, extra_body={"input_type": "query", "task": "Find what is alike"}
    )
    np.testing.assert_allclose(
        vectors(task), server.embedder.embed_queries(TEXTS, task="Find what is alike"), atol=1e-6
    )
    with pytest.raises(openai.BadRequestError, match="document for the model tiny:query; expected one input type"):
        client.embeddings.create(model="tiny:query", input=TEXTS, extra_body={"input_type": "document"})
    raw = client.embeddings.with_raw_response.create(model="tiny", input="x" * 130)
    assert raw.headers["x-slimvec-input-type"] == "document"
    assert raw.headers["x-slimvec-truncated"] == "1"


def test_truncation_is_reported_and_refused_where_asked(client):
    texts = ["short", "x" * 121, "y" * 120]
    found = client.embeddings.create(model="tiny", input=texts)
    assert found.truncated == [1]
    assert found.usage.prompt_tokens == 5 + 120 + 120
    with pytest.raises(openai.BadRequestError, match="text 1 is longer than 120 tokens; expected texts within"):
        client.embeddings.create(model="tiny", input=texts, extra_body={"truncate": False})


def test_models_show_what_decides_their_vectors(client, server):
    tiny, small = client.models.list().data
    assert (tiny.id, small.id) == ("tiny", "small")
    shown = tiny.slimvec
    assert shown["identity"] == server.embedder.identity.sha256 != small.slimvec["identity"]
    assert (shown["dims"], small.slimvec["dims"]) == (32, 8)
    assert (shown["max_tokens"], shown["attention"], shown["pooling"]["mode"]) == (120, "causal", "mean")
    assert shown["prompts"] == {"query": server.embedder.spec.prompts.render("query"), "document": ""}
    assert shown["default_input_type"] == "document"
    assert client.models.retrieve("small").id == "small"
    found = vectors(client.embeddings.create(model="small", input=TEXTS))
    np.testing.assert_allclose(found, server.embedder.embed_documents(TEXTS, dims=8), atol=1e-6)


def test_errors_are_openais(client):
    with pytest.raises(openai.NotFoundError, match="no such model here; expected one of tiny, small") as caught:
        client.embeddings.create(model="text-embedding-3-small", input="x")
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "model_not_found", "model", "invalid_request_error",
    )  # fmt: skip
    with pytest.raises(openai.BadRequestError, match="input: expected a string, a list of strings") as caught:
        client.embeddings.create(model="tiny", input=["a", 1])
    assert caught.value.param == "input"
    with pytest.raises(openai.BadRequestError, match="text 1 is empty"):
        client.embeddings.create(model="tiny", input=["a", ""])
    with pytest.raises(openai.BadRequestError, match="temperature: unknown field"):
        client.embeddings.create(model="tiny", input="a", extra_body={"temperature": 0})
    with pytest.raises(openai.NotFoundError, match="there is nothing at this address"):
        client.chat.completions.create(model="tiny", messages=[])


def test_errors_name_the_field(server):
    for path, body, param, message in (
        ("/v1/search", {}, "query", "query: Field required"),
        ("/v1/rerank", {"model": "tiny", "query": " ", "documents": ["a"]}, "query", "the query is empty"),
        ("/v1/embeddings", None, None, "expected a JSON object, sent with Content-Type: application/json"),
    ):
        error = server.post(path, body).json()["error"]
        assert (error["param"], error["message"].split(";")[0]) == (param, message)


def test_bfloat16_is_served_wherever_it_is_asked_for(folder):
    with running({"tiny": Embedder.load(folder, dtype="bfloat16")}) as found:
        (card,) = found.get("/v1/models").json()["data"]
        assert card["slimvec"]["dtype"] == "bfloat16"
        answer = found.post("/v1/embeddings", {"model": "tiny", "input": TEXTS}).json()
    exact = Embedder.load(folder, dtype="float32").embed_documents(TEXTS)
    np.testing.assert_allclose([row["embedding"] for row in answer["data"]], exact, atol=0.03)


def test_a_text_without_a_vector_fails_alone(server, monkeypatch):
    import torch

    executor = server.models.first.embedder.executor
    pool = executor.pool

    def poisoned(tokenized, chosen, poolings, prefix=None):
        pooled = pool(tokenized, chosen, poolings, prefix).clone()
        bad = [place for place, number in enumerate(chosen) if len(tokenized.sequences[number]) == 7]
        pooled[:, bad] = torch.nan
        return pooled

    monkeypatch.setattr(executor, "pool", poisoned)
    found = server.post("/v1/embeddings", {"model": "tiny", "input": ["fine", "poison!", "well"]}).json()
    assert [row["embedding"] is None for row in found["data"]] == [False, True, False]
    assert found["data"][1]["error"] == "the text has a vector with NaN or infinity"
    alone = server.post("/v1/embeddings", {"model": "tiny", "input": "poison!"})
    assert alone.status_code == 422
    assert "text 0 has a vector with NaN" in alone.json()["error"]["message"]


def test_health_readiness_and_metrics(server):
    assert server.get("/health").json() == {"status": "ok"}
    assert server.get("/ready").json() == {"status": "ready", "models": ["tiny", "small"]}
    server.post("/v1/embeddings", {"model": "tiny", "input": ["one", "two"], "input_type": "query"})
    text = server.get("/metrics").text
    assert 'slimvec_texts_total{input_type="query",model="tiny"}' in text
    assert 'slimvec_requests_total{route="/v1/embeddings",status="200"}' in text
    assert 'slimvec_waiting_tokens{model="small"} 0.0' in text
