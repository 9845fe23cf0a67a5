"""Texts without a vector: named, in every way to embed, and the vectors of the others kept."""

import json

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder, VectorsError
from slimvec.errors import InputError, ModelError
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.model.folder import save_model
from slimvec.model.guard import check_attention_mode
from slimvec.model.spec import Pooling
from slimvec.text.tokenizer import Tokenizer
from tests.tiny import embedding_model, tokenizer_backend

TEXTS = ["one text", "a text with a bad byte: \u0007", "another text", "one text"]


class Breaking:
    """A backbone that gives NaN or zeros for the tokens of a text with a certain one."""

    def __init__(self, backbone, number=float("nan")):
        self.backbone, self.number = backbone, number
        self.token = tokenizer_backend().encode("\u0007").ids[0]

    def __call__(self, batch):
        states = self.backbone(batch).clone()
        for start, end in zip(batch.cu_seqlens.tolist(), batch.cu_seqlens.tolist()[1:], strict=False):
            if (batch.input_ids[start:end] == self.token).any():
                states[start:end] = self.number
        return states


@pytest.fixture
def embedder(monkeypatch):
    found = Embedder.from_model(embedding_model())
    breaking = Breaking(found.backbone)
    monkeypatch.setattr(found, "backbone", breaking)
    found.executor.engine = found._engine.__class__(
        **{**vars(found._engine), "backbone": breaking},
    )
    return found


def whole():
    return Embedder.from_model(embedding_model()).embed_documents(TEXTS)


def test_a_vector_that_is_no_numbers_is_an_error_that_names_the_text_and_keeps_the_others(embedder):
    with pytest.raises(VectorsError, match=r"text 1 \('a text with a bad byte: .*'\) has a vector with NaN") as caught:
        embedder.embed(TEXTS)
    assert [text.number for text in caught.value.bad] == [1]
    found = caught.value.embeddings.vectors
    np.testing.assert_allclose(found[[0, 2, 3]], whole()[[0, 2, 3]], atol=1e-6)
    assert np.isnan(found[1]).all()
    for way in (embedder.embed_queries, embedder.embed_documents, lambda texts: list(embedder.embed_stream(texts))):
        with pytest.raises(VectorsError, match="text 1 "):
            way(TEXTS)
    with pytest.raises(VectorsError, match="text 1 "):
        embedder.embed_poolings(TEXTS, [Pooling(mode="mean"), Pooling(mode="last")])


def test_a_stream_numbers_its_texts_over_all_blocks(embedder, monkeypatch):
    monkeypatch.setattr("slimvec.engine.runner.BLOCK_TEXTS", 2)
    stream = embedder.embed_stream([TEXTS[0], TEXTS[2], *TEXTS])
    assert len(next(stream).vectors) == 2
    with pytest.raises(VectorsError, match=r"text 3 \('a text with") as caught:
        next(stream)
    assert len(caught.value.embeddings.vectors) == 2


def test_marked_texts_have_rows_of_nan_and_are_named(embedder):
    done = []
    texts = ["", *TEXTS, " \n", 7]
    found = embedder.embed(texts, on_bad="mark", on_progress=done.append)
    assert [text.number for text in found.bad] == [0, 2, 5, 6]
    assert [text.reason for text in found.bad] == [
        "is empty",
        "has a vector with NaN or infinity",
        "is empty",
        "is a int",
    ]
    np.testing.assert_allclose(found.vectors[[1, 3, 4]], whole()[[0, 2, 3]], atol=1e-6)
    assert np.isnan(found.vectors[[0, 2, 5, 6]]).all()
    assert sum(done) == len(texts)
    assert next(iter(embedder.embed_stream(texts, on_bad="mark"))).bad == found.bad
    assert embedder.embed(["", " "], on_bad="mark").vectors.shape == (2, 32)


def test_zeros_have_no_direction(embedder):
    embedder.executor.engine.backbone.number = 0.0
    with pytest.raises(VectorsError, match="has a vector of zeros, which has no direction"):
        embedder.embed(TEXTS)


def test_parts_of_a_text_are_looked_at_too(embedder):
    with pytest.raises(ModelError, match="part 0 of the text has a vector with NaN"):
        embedder.prefixes(TEXTS[1], at=[len(TEXTS[1])])
    with pytest.raises(ModelError, match="part 0 of the text has a vector with NaN"):
        embedder.embed_long([TEXTS[1] * 30], policy="window-mean")


def test_evaluation_and_peers_stop_at_a_vector_that_is_no_numbers(embedder):
    with pytest.raises(VectorsError, match="text 1 "):
        SlimvecModel(embedder, name="x", identity="x", revision=None).embed(TEXTS, role="document")


@pytest.mark.parametrize(("number", "what"), [(float("nan"), "NaN or infinite"), (0.0, "all 0")])
def test_the_attention_guard_refuses_states_that_are_none(number, what):
    def backbone(batch):
        return torch.full((int(batch.cu_seqlens[-1]), 8), number)

    for mode in ("causal", "bidirectional"):
        with pytest.raises(ModelError, match=f"the states of a short text are {what}; expected numbers"):
            check_attention_mode(backbone, mode, vocabulary=100)


def test_half_a_character_is_named(embedder):
    with pytest.raises(InputError, match=r"text 1 \('a.ud83db'\) has half a character \(U\+D83D\) at 1; expected Uni"):
        embedder.embed(["fine", "a\ud83db"])
    with pytest.raises(InputError, match=r"the prompt .* has half a character"):
        embedder.tokenizer.tokenize(["fine"], prompt="\udc00")
    assert [text.reason for text in embedder.embed(["fine", "\ud83d"], on_bad="mark").bad] == [
        "has half a character (U+D83D) at 0"
    ]


def test_an_added_token_beyond_the_embedding_is_found_at_load(tmp_path):
    save_model(embedding_model(), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    whole, size = json.loads(path.read_text()), 264
    added = [{**whole["added_tokens"][0], "content": f"<new {n}>", "id": n} for n in range(258, size + 1)]
    added[-1]["special"] = False
    path.write_text(json.dumps({**whole, "added_tokens": [*whole["added_tokens"], *added]}))
    with pytest.raises(ModelError, match=r"has the token '<new 264>' with id 264; expected ids below 264"):
        Embedder.load(tmp_path / "model")


def test_a_special_token_beyond_the_embedding_is_refused_in_a_text_alone(tmp_path):
    """EmbeddingGemma has one, for images: the model itself is as it should be."""
    save_model(embedding_model(), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    whole = json.loads(path.read_text())
    fillers = [{**whole["added_tokens"][0], "content": f"<filler {n}>", "id": n} for n in range(258, 264)]
    image = {**whole["added_tokens"][0], "content": "<image>", "id": 264}
    path.write_text(json.dumps({**whole, "added_tokens": [*whole["added_tokens"], *fillers, image]}))
    (tmp_path / "model" / "golden.json").unlink()
    embedder = Embedder.load(tmp_path / "model")
    assert embedder.embed_documents(["a cat"]).shape == (1, 32)
    with pytest.raises(ModelError, match=r"text 1 \('an <image>'\) has the token id 264; expected below 264"):
        embedder.embed_documents(["a cat", "an <image>"])


def test_a_token_beyond_the_embedding_is_found_at_load_where_ids_have_gaps(tmp_path):
    save_model(embedding_model(), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["model"]["vocab"][":"] = 1000
    path.write_text(json.dumps(whole))
    with pytest.raises(ModelError, match="has the token ':' with id 1000; expected ids below 264"):
        Embedder.load(tmp_path / "model")


def test_a_token_beyond_the_embedding_is_named_with_its_text():
    tokenizer = Tokenizer(tokenizer_backend(), max_tokens=9, vocabulary=258)
    with pytest.raises(ModelError, match="the tokenizer has 258 tokens; expected ids below 200"):
        Tokenizer(tokenizer_backend(), max_tokens=9, vocabulary=200)
    tokenizer._vocabulary = 50
    with pytest.raises(ModelError, match=r"text 1 \('~'\) has the token id \d+; expected below 50"):
        tokenizer.tokenize(["!", "~"])
