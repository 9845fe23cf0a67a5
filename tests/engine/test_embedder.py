"""The embedder: neither the order of inputs, nor the batch size, nor company changes a vector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.guard import check_attention_mode
from slimvec.text.batch import PackedBatch
from tests.tiny import ARCHITECTURES, MODES, embedding_model

texts = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.strip()), min_size=1, max_size=8)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_company_order_and_batch_size_do_not_change_a_vector(architecture, mode):
    model = embedding_model(architecture, mode)

    @given(texts=texts, budget=st.integers(1, 60), data=st.data())
    def holds(texts, budget, data):
        alone = np.concatenate([Embedder.from_model(model).embed_queries([text]) for text in texts])
        order = data.draw(st.permutations(range(len(texts))))
        together = Embedder.from_model(model, token_budget=budget).embed_queries([texts[i] for i in order])
        np.testing.assert_allclose(together, alone[list(order)], atol=2e-5)

    holds()


def test_roles_have_their_prompts_and_vectors_are_unit():
    embedder = Embedder.from_model(embedding_model())
    prompt = embedder.spec.prompts.render("query")
    query, document = embedder.embed_queries(["hello"]), embedder.embed_documents(["hello"])
    np.testing.assert_allclose(query, embedder.embed_documents([prompt + "hello"]), atol=1e-6)
    assert embedder.similarity(query, document)[0, 0] < 0.999
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder.similarity(query, query), 1, atol=1e-6)


def test_truncation_and_tokens_are_counted():
    embedder = Embedder.from_model(embedding_model(max_tokens=10))
    result = embedder.embed(["short", "a text of more than ten bytes"])
    assert result.num_truncated == 1
    assert result.num_tokens == 5 + 10
    seen = []
    embedder.embed(["a", "b", "c"], on_progress=seen.append)
    assert sum(seen) == 3


def test_fewer_dims_are_the_first_ones_rescaled():
    embedder = Embedder.from_model(embedding_model())
    full, few = embedder.embed_documents(["some text"]), embedder.embed_documents(["some text"], dims=8)
    np.testing.assert_allclose(few, full[:, :8] / np.linalg.norm(full[:, :8]), atol=1e-6)


def test_wrong_input_is_refused_in_one_line():
    embedder = Embedder.from_model(embedding_model())
    with pytest.raises(InputError, match=r"one string; expected a list of texts; write \[text\]"):
        embedder.embed_documents("text")
    with pytest.raises(InputError, match="text 1 is empty"):
        embedder.embed_documents(["fine", " "])
    with pytest.raises(InputError, match="dtype 'int4'; expected one of auto, float32, bfloat16, int8"):
        Embedder.load("anywhere", dtype="int4")


def test_nothing_to_embed_gives_no_vectors():
    assert Embedder.from_model(embedding_model()).embed_documents([]).shape == (0, 32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_guard_knows_both_modes(architecture, mode):
    backbone = embedding_model(architecture, mode).backbone
    check_attention_mode(backbone, mode, vocabulary=100)
    other = MODES[1 - MODES.index(mode)]
    with pytest.raises(ModelError, match=f"first state; expected {other} attention"):
        check_attention_mode(backbone, other, vocabulary=100)


class Leaky:
    """A backbone whose texts see each other: every state is moved by the batch's mean."""

    mode = "bidirectional"

    def __call__(self, batch: PackedBatch) -> torch.Tensor:
        ids = batch.input_ids.float()
        place = torch.arange(batch.num_tokens)
        return torch.stack([ids + ids.mean() * place, ids], dim=1)


def test_the_guard_finds_leaks():
    with pytest.raises(ModelError, match="the same text has two vectors in one batch"):
        check_attention_mode(Leaky(), "bidirectional", vocabulary=100)


def test_spec_and_backbone_must_agree():
    model = embedding_model("llama", "causal")
    with pytest.raises(ModelError, match="a causal backbone; expected bidirectional"):
        EmbeddingModel(model.backbone, model.tokenizer, model.spec.replace(attention="bidirectional"))
