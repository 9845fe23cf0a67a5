"""Several poolings of states that are computed once equal each pooling by itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.model.folder import save_model
from slimvec.model.spec import Pooling
from tests import tiny

POOLINGS = [
    Pooling(mode="mean"),
    Pooling(mode="mean", include_prompt=False),
    Pooling(mode="weighted"),
    Pooling(mode="beta", beta=0.25),
    Pooling(mode="beta", beta=math.inf),
    Pooling(mode="last"),
    Pooling(mode="cls"),
]
texts = st.lists(st.text("abc de", min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poolings")
    for architecture, mode in (("llama", "causal"), ("llama", "bidirectional"), ("bert", "bidirectional")):
        save_model(tiny.embedding_model(architecture, mode, dims=20), folder / f"{architecture}-{mode}")
    return folder


@pytest.mark.parametrize("name", ["llama-causal", "llama-bidirectional", "bert-bidirectional"])
def test_they_equal_loading_with_each(name, folders):
    shared = Embedder.load(folders / name)
    alone = [Embedder.load(folders / name, pooling=pooling) for pooling in POOLINGS]

    @given(texts=texts, role=st.sampled_from(["query", "document"]), chosen=st.permutations(range(len(POOLINGS))))
    def holds(texts, role, chosen):
        chosen = chosen[:3]
        told = []
        found = shared.embed_poolings(texts, [POOLINGS[n] for n in chosen], role=role, on_progress=told.append)
        assert sum(told) == len(texts)
        for number, embeddings in zip(chosen, found, strict=True):
            wanted = alone[number].embed(texts, role=role)
            np.testing.assert_allclose(embeddings.vectors, wanted.vectors, atol=3e-6)
            assert (embeddings.num_tokens, embeddings.num_truncated) == (wanted.num_tokens, wanted.num_truncated)

    holds()


def test_dims_and_blocks(folders, monkeypatch):
    monkeypatch.setattr("slimvec.engine.runner.BLOCK_TEXTS", 2)
    embedder = Embedder.load(folders / "llama-causal")
    mean, last = embedder.embed_poolings(["a", "bc", "a", "def", "g"], POOLINGS[:1] + POOLINGS[5:6], dims=7)
    assert mean.vectors.shape == last.vectors.shape == (5, 7)
    np.testing.assert_allclose(mean.vectors[0], mean.vectors[2], atol=1e-6)  # its block, so its company, is another
    np.testing.assert_allclose(mean.vectors, embedder.embed(["a", "bc", "a", "def", "g"], dims=7).vectors, atol=1e-6)


def test_poolings_that_make_no_sense(folders):
    embedder = Embedder.load(folders / "llama-causal")
    for poolings in ([], [POOLINGS[0]] * 2):
        with pytest.raises(InputError, match=r"poolings \[.*\]; expected different ones"):
            embedder.embed_poolings(["a"], poolings)
