"""A text read twice with its second copy pooled, against the backbone run by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.evaluation.opening import open_evaluated
from slimvec.model.architectures import DECODERS
from slimvec.model.folder import save_model
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.prompts import Prompts
from slimvec.text.tokenizer import SEPARATOR, EchoTokenizer
from tests import tiny

TEXTS = ["one text", "b", "another, longer text than that"]
PROMPTS = Prompts(query="Instruct: find\nQuery: ", document="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "causal"
    save_model(tiny.embedding_model(prompts=PROMPTS), path)
    return path


def by_hand(embedder, text, prompt, pooling):
    """Both copies token by token, the states of the second one pooled."""
    backend = embedder.tokenizer.backend
    front, own, between = (backend.encode(part, add_special_tokens=False).ids for part in (prompt, text, SEPARATOR))
    batch = PackedBatch.from_sequences([[*front, *own, *between, *own]])
    with torch.inference_mode():
        states = embedder.backbone(batch).float()[-len(own) :].double().numpy()
    weights = np.ones(len(own))
    if pooling == "last":
        weights[:-1] = 0
    vector = weights @ states
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_the_second_copy_is_pooled(folder, pooling):
    embedder = Embedder.load(folder, echo=True, pooling=pooling, dtype="float32")
    for role, prompt in (("query", PROMPTS.render("query")), ("document", "")):
        found = embedder.embed(TEXTS, role=role)
        for text, vector, tokens in zip(TEXTS, found.vectors, found.tokens, strict=True):
            np.testing.assert_allclose(vector, by_hand(embedder, text, prompt, pooling), atol=1e-5)
            assert tokens == 2 * len(text.encode()) + len(SEPARATOR) + len(prompt.encode())
    assert found.num_truncated == 0


def test_poolings_of_a_study_are_those_of_models_loaded_with_them(folder):
    poolings = [Pooling(), Pooling(mode="weighted")]
    together = Embedder.load(folder, echo=True, dtype="float32").embed_poolings(TEXTS, poolings)
    for pooling, found in zip(poolings, together, strict=True):
        alone = Embedder.load(folder, echo=True, pooling=pooling, dtype="float32").embed(TEXTS)
        np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-6)


def test_echo_moves_vectors_and_the_identity(folder):
    plain, echo = Embedder.load(folder, dtype="float32"), Embedder.load(folder, echo=True, dtype="float32")
    assert np.abs(plain.embed(TEXTS).vectors - echo.embed(TEXTS).vectors).max() > 0.01
    assert plain.identity.sha256 != echo.identity.sha256


@given(st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_both_copies_are_equal_and_fit_the_limit(text):
    tokenizer = EchoTokenizer(tiny.tokenizer_backend(), max_tokens=24)
    found = tokenizer.tokenize([text], prompt="ab")
    (sequence,), (prefix,) = found.sequences, found.prefix_lengths
    copy = sequence[prefix:]
    assert len(sequence) <= 24
    assert sequence == [*sequence[:2], *copy, *tokenizer.backend.encode(SEPARATOR).ids, *copy]
    assert found.truncated[0] == (len(copy) < len(text))


def test_what_echo_cannot_do_is_refused(folder, tmp_path):
    embedder = Embedder.load(folder, echo=True)
    with pytest.raises(InputError, match="a text in parts, by a model loaded with echo"):
        embedder.prefixes("some text", at=[2])
    with pytest.raises(ModelError, match="loaded with echo, which no other reader of its files knows"):
        embedder.save(tmp_path / "saved")
    save_model(tiny.embedding_model("bert", "bidirectional"), tmp_path / "encoder")
    with pytest.raises(InputError, match=r"echo for .*, which attends in both directions"):
        Embedder.load(tmp_path / "encoder", echo=True)
    with pytest.raises(InputError, match="echo of http://localhost/v1#m; expected a model that slimvec runs"):
        open_evaluated("http://localhost/v1#m", echo=True)
    with pytest.raises(InputError, match="leaves no room for a text twice"):
        EchoTokenizer(tiny.tokenizer_backend(), max_tokens=5).tokenize(["abc"], prompt="xyz")


@pytest.mark.parametrize("architecture", sorted(DECODERS))
def test_every_causal_architecture_echoes(architecture, tmp_path):
    save_model(tiny.embedding_model(architecture), tmp_path / "model")
    embedder = Embedder.load(tmp_path / "model", echo=True, dtype="float32")
    for text, vector in zip(TEXTS, embedder.embed(TEXTS).vectors, strict=True):
        np.testing.assert_allclose(vector, by_hand(embedder, text, "", "mean"), atol=2e-5)
