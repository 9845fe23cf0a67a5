"""slimvec's models in LangChain, LlamaIndex and Haystack: the packages themselves, and the embedder's own vectors."""

import asyncio

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from tests.tiny import embedding_model

TEXTS = ["a red fruit", "how do I copy a file?", "the tide comes in"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    Embedder.from_model(embedding_model()).save(path)
    return path


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder.load(folder)


def test_settings_do_not_get_lost(embedder):
    pytest.importorskip("langchain_core")
    from slimvec.integrations.langchain import SlimvecEmbeddings

    with pytest.raises(InputError, match=r"dtype for a model that is loaded; expected them in Embedder\.load"):
        SlimvecEmbeddings(embedder, dtype="int8")
    with pytest.raises(InputError, match="a model of type NoneType; expected its name or its path"):
        SlimvecEmbeddings(None)


def test_langchain(embedder, folder):
    vectorstores = pytest.importorskip("langchain_core.vectorstores")
    from slimvec.integrations.langchain import SlimvecEmbeddings

    found = SlimvecEmbeddings(str(folder), dims=16, dtype="float32")
    np.testing.assert_allclose(found.embed_documents(TEXTS), embedder.embed_documents(TEXTS, dims=16), atol=1e-6)
    np.testing.assert_allclose(found.embed_query(TEXTS[0]), embedder.embed_queries(TEXTS[:1], dims=16)[0], atol=1e-6)
    task = SlimvecEmbeddings(embedder, task="Find what is alike")
    expected = embedder.embed_queries(TEXTS[:1], task="Find what is alike")[0]
    np.testing.assert_allclose(asyncio.run(task.aembed_query(TEXTS[0])), expected, atol=1e-6)
    store = vectorstores.InMemoryVectorStore.from_texts(TEXTS, SlimvecEmbeddings(embedder))
    best = int(np.argmax(embedder.similarity(embedder.embed_queries(["fruit"]), embedder.embed_documents(TEXTS))))
    assert store.similarity_search("fruit", k=1)[0].page_content == TEXTS[best]


@pytest.mark.filterwarnings("ignore")  # the package's own imports warn
def test_llama_index(embedder, folder):
    pytest.importorskip("llama_index.core")
    from slimvec.integrations.llama_index import SlimvecEmbedding

    found = SlimvecEmbedding(folder)
    np.testing.assert_allclose(found.get_text_embedding_batch(TEXTS), embedder.embed_documents(TEXTS), atol=1e-6)
    query = embedder.embed_queries(TEXTS[:1])[0]
    np.testing.assert_allclose(found.get_query_embedding(TEXTS[0]), query, atol=1e-6)
    np.testing.assert_allclose(asyncio.run(found.aget_query_embedding(TEXTS[0])), query, atol=1e-6)
    assert asyncio.run(SlimvecEmbedding(embedder, dims=4).aget_text_embedding(TEXTS[0]))[3:] != []
    assert found.class_name() == "SlimvecEmbedding"
    written = [
        SlimvecEmbedding(folder),
        SlimvecEmbedding(embedder, dims=4),
        SlimvecEmbedding(embedder, task="Find it now"),
    ]
    written += [SlimvecEmbedding(Embedder.from_model(embedding_model())) for _ in range(2)]
    keys = [{name: one.to_dict()[name] for name in ("identity", "dims", "task")} for one in (found, *written)]
    assert keys[0] == keys[1]  # what pipelines keep vectors by
    assert all(one != other for number, one in enumerate(keys[1:]) for other in keys[number + 2 :])


@pytest.mark.filterwarnings("ignore")  # the package's own imports warn
def test_haystack(embedder, folder, monkeypatch):
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    haystack = pytest.importorskip("haystack")
    from slimvec.integrations.haystack import SlimvecDocumentEmbedder, SlimvecTextEmbedder

    documents = [haystack.Document(content=text, meta={"title": "A title"}) for text in TEXTS]
    pipeline = haystack.Pipeline()
    pipeline.add_component("documents", SlimvecDocumentEmbedder(str(folder), meta_fields_to_embed=["title"]))
    pipeline.add_component("query", SlimvecTextEmbedder(str(folder), dims=8))
    again = haystack.Pipeline.from_dict(pipeline.to_dict(), allowed_modules=["slimvec.integrations.haystack"])
    found = again.run({"documents": {"documents": documents}, "query": {"text": TEXTS[0]}})
    expected = embedder.embed_documents([f"A title\n{text}" for text in TEXTS])
    vectors = [document.embedding for document in found["documents"]["documents"]]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert documents[0].embedding is None
    query = embedder.embed_queries(TEXTS[:1], dims=8)[0]
    np.testing.assert_allclose(found["query"]["embedding"], query, atol=1e-6)
    assert found["documents"]["meta"]["num_truncated"] == 0
    with pytest.raises(InputError, match="a list; expected a text; use SlimvecDocumentEmbedder"):
        SlimvecTextEmbedder(str(folder)).run(TEXTS)
