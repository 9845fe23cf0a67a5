"""Positions that depend on length: of the text itself, never of its neighbours; as in sentence-transformers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.folder import load_model
from slimvec.text.batch import PackedBatch
from tests.model.foreign import edit, foreign, sentence_transformer
from tests.tiny import random_batch

LONG = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "factor": 8.0,
    "original_max_position_embeddings": 24,
    "short_factor": [1.0, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 2.0, 5.0, 9.0],
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 4.0}


def with_rope(folder, rope, **changes):
    foreign(folder, "llama")
    edit(folder / "config.json", rope_parameters=rope, **changes)
    return folder


@pytest.fixture(scope="module")
def longrope(tmp_path_factory):
    folder = with_rope(tmp_path_factory.mktemp("models") / "longrope", LONG)
    return Embedder.load(folder), sentence_transformer(folder)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6))
def test_longrope_gives_a_text_the_same_vector_beside_any_neighbours(longrope, lengths):
    embedder, theirs = longrope
    texts = [("word_and_word_" * 9)[number : number + length] for number, length in enumerate(lengths)]
    together = embedder.embed(texts).vectors
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(vector, embedder.embed([text]).vectors[0], atol=2e-6)
    one_by_one = np.stack([theirs.encode(text) for text in texts])
    np.testing.assert_allclose(together, one_by_one, atol=2e-5)


def test_longrope_matters_and_trains_alike(longrope):
    embedder, theirs = longrope
    texts = ["short", "a much longer text, of more than twenty-four bytes"]
    assert np.abs(theirs.encode(texts)[0] - theirs.encode(texts[:1])[0]).max() > 1e-3, "a batch moves theirs"
    assert embedder.engine.startswith("transformers")
    assert "rope type 'longrope'" in embedder.engine_reason
    model = load_model(embedder._opened.folder)
    model(embedder.tokenizer.tokenize(texts).pack()).sum().backward()
    assert model.backbone.hf_model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0


def test_chosen_texts_of_a_batch_are_a_batch():
    batch = random_batch([3, 1, 4], prefixes=[1, 0, 2])
    chosen = batch.choose([2, 0])
    parts = batch.input_ids.split(batch.lengths)
    again = PackedBatch.from_sequences([parts[2].tolist(), parts[0].tolist()], [2, 1])
    for name in ("input_ids", "position_ids", "cu_seqlens", "prefix_lengths"):
        assert getattr(chosen, name).tolist() == getattr(again, name).tolist()
    assert chosen.lengths == again.lengths


def test_dynamic_is_served_as_far_as_it_changes_nothing(tmp_path):
    folder = with_rope(tmp_path / "dynamic", DYNAMIC, max_position_embeddings=40)
    with pytest.raises(ModelError, match=r"rope type 'dynamic' with texts of up to 200 tokens: beyond 40 a vector"):
        Embedder.load(folder)  # the length that its own files give
    edit(folder / "sentence_bert_config.json", max_seq_length=40)
    embedder = Embedder.load(folder)
    assert embedder.spec.max_tokens == 40
    texts = ["short", "a text of just as many tokens as it has", "x" * 90]
    one_by_one = np.stack([embedder.embed([text]).vectors[0] for text in texts])
    np.testing.assert_allclose(embedder.embed(texts).vectors, one_by_one, atol=2e-6)
    theirs = sentence_transformer(folder)
    np.testing.assert_allclose(one_by_one[:2], np.stack([theirs.encode(t) for t in texts[:2]]), atol=2e-5)
    for load in (Embedder.load, load_model):
        with pytest.raises(ModelError, match=r"rope type 'dynamic' with texts of up to 60 tokens: beyond 40 a vector"):
            load(folder, max_tokens=60)
