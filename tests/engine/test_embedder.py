"""The embedder: neither the order of inputs, nor the batch size, nor company changes a vector."""

import os
import pickle
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import save_model
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


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        ("text", {}, r"one string; expected a list of texts; write \[text\]"),
        (b"text", {}, "texts of type bytes; expected a list of texts"),
        (None, {}, "texts of type NoneType"),
        (3, {}, "texts of type int"),
        ({"a", "b"}, {}, "texts of type set; expected a list of texts, or texts in some order"),
        ({"a": 1}, {}, "texts of type dict"),
        (["a", b"b"], {}, "text 1 is a bytes; expected a string"),
        (["a"], {"dims": 1.5}, "dims 1.5; expected 1 to 32"),
        (["a"], {"dims": "8"}, "dims '8'; expected 1 to 32"),
        (["a"], {"dims": True}, "dims True; expected 1 to 32"),
        (["a"], {"task": 3}, "a task of type int; expected a name or an instruction"),
        (["a"], {"role": "title"}, "role 'title'; expected query or document"),
        (["a"], {"on_bad": "drop"}, "on_bad 'drop'; expected one of refuse, mark"),
    ],
)
def test_wrong_kinds_of_values_are_one_line_however_they_come(texts, settings, message):
    embedder = Embedder.from_model(embedding_model())
    with pytest.raises(InputError, match=message):
        embedder.embed(texts, **settings)
    with pytest.raises(InputError, match=message):
        list(embedder.embed_stream(texts, **settings))


def test_texts_may_come_in_any_row():
    embedder = Embedder.from_model(embedding_model())
    expected = embedder.embed_documents(["a", "b"])
    for texts in (("a", "b"), (text for text in "ab"), np.array(["a", "b"])):
        np.testing.assert_array_equal(embedder.embed_documents(texts), expected)
    assert embedder.embed_documents(["a"], dims=np.int64(4)).shape == (1, 4)
    assert repr(embedder).startswith("Embedder(dims=32, dtype='float32', engine='transformers/")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "device 'gpu'; expected a device as PyTorch names it"),
        ({"device": "cuda:99"}, "device 'cuda:99', which PyTorch does not find here; expected cpu"),
        ({"engine": "fast"}, "engine 'fast'; expected one of auto, fused, transformers"),
        ({"max_token": 8}, "setting 'max_token' of a model; expected one of revision, attention, pooling"),
    ],
)
def test_a_model_is_not_loaded_in_another_way_than_asked_for(tmp_path, settings, message):
    Embedder.from_model(embedding_model()).save(tmp_path / "tiny")
    with pytest.raises(InputError, match=message):
        Embedder.load(tmp_path / "tiny", **settings)


def test_vectors_of_other_shapes_are_not_compared():
    embedder = Embedder.from_model(embedding_model())
    with pytest.raises(InputError, match=r"vectors \[1, 32\] and \[1, 8\]; expected \[Q, D\] and \[N, D\]"):
        embedder.similarity(np.ones((1, 32)), np.ones((1, 8)))
    with pytest.raises(InputError, match=r"vectors \[32\] and"):
        embedder.similarity(np.ones(32), np.ones((1, 32)))


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


FORKED = """
import os, signal, sys
import torch
from slimvec.engine.embedder import Embedder
torch.set_num_threads(2)
embedder = Embedder.load(sys.argv[1])
torch.ones(1 << 20).add_(1)  # torch's threads are there
vectors = embedder.embed(["a text", "another"]).vectors
child = os.fork()
if child == 0:
    signal.alarm(60)
    same = (embedder.embed(["a text", "another"]).vectors == vectors).all() and torch.ones(1 << 20).add_(1).sum() > 0
    os._exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_embeds(tmp_path):
    save_model(embedding_model(), tmp_path / "model")
    ran = subprocess.run([sys.executable, "-c", FORKED, tmp_path / "model"], timeout=120, check=False)
    assert ran.returncode == 0


@pytest.mark.parametrize("copy", [pickle.dumps, deepcopy])
def test_it_is_not_pickled_or_copied(copy):
    with pytest.raises(TypeError, match="cannot be pickled or copied; load the model in each process"):
        copy(Embedder.from_model(embedding_model()))
