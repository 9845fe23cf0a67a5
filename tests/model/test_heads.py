"""Layers between pooling and vector, and EmbeddingGemma's attention: as sentence-transformers has them."""

import json

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.folder import load_model
from slimvec.model.spec import DenseLayer
from tests.model.foreign import (
    TEXTS,
    add_dense,
    add_module,
    add_norm,
    assert_equals_theirs,
    edit,
    foreign,
    sentence_transformer,
)
from tests.tiny import WINDOW

DENSE = {"in_features": 32, "out_features": 8, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}


def embedding_gemma(folder):
    """A tiny model with everything that EmbeddingGemma has: a window that counts both sides and two Dense."""
    foreign(folder, "gemma3_text", "bidirectional")
    edit(folder / "config.json", drop=("is_causal",), use_bidirectional_attention=True)
    edit(folder / "sentence_bert_config.json", drop=("config_args",))
    add_dense(folder, 32, 48, bias=False)
    add_dense(folder, 48, 24, bias=False)
    add_module(folder, "Normalize")
    return folder


@pytest.mark.parametrize("engine", ["fused", "transformers"])
def test_embedding_gemma_equals_sentence_transformers(engine, tmp_path):
    folder = embedding_gemma(tmp_path / "model")
    assert json.loads((folder / "config.json").read_text())["sliding_window"] == WINDOW
    loaded = Embedder.load(folder, engine=engine)
    assert loaded.spec.attention == "bidirectional"
    assert loaded.dims == 24
    texts = [*TEXTS, "a text of many more tokens than the window has on either side"]
    assert_equals_theirs(folder, loaded, texts)
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved", engine=engine), texts)
    assert loaded.verify(tmp_path / "saved") > 0.99999


def test_two_ways_to_be_bidirectional_at_once_are_refused(tmp_path):
    folder = embedding_gemma(tmp_path / "model")
    edit(folder / "config.json", is_causal=False)
    with pytest.raises(ModelError, match="use_bidirectional_attention and is_causal=false"):
        Embedder.load(folder)
    edit(folder / "config.json", drop=("is_causal",))
    with pytest.raises(ModelError, match="bidirectional attention; expected no other"):
        Embedder.load(folder, attention="causal")


ACTIVATIONS = ["activation.Tanh", "activation.GELU", "activation.ReLU", "activation.SiLU", "linear.Identity"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dense_module_with_its_activation(activation, tmp_path):
    folder = foreign(tmp_path / "model")
    add_dense(folder, 32, 8, activation)
    loaded = Embedder.load(folder)
    assert loaded.dims == 8
    assert_equals_theirs(folder, loaded)


def chain(folder, order):
    """Add modules in an order that changes the width twice."""
    for number, kind in enumerate(order.split()):
        width = 32 if "Dense" not in order.split()[:number] else 12
        if kind == "Dense":
            add_dense(folder, width, 12, "activation.Tanh", use_residual=True)
        elif kind == "LayerNorm":
            add_norm(folder, width)
        else:
            add_module(folder, kind, {"dropout": 0.5} if kind == "Dropout" else None)


ORDERS = [
    "Normalize",
    "Dropout Dense LayerNorm Normalize",
    "Normalize Dense",
    "LayerNorm Normalize Dense Dense Dropout",
    "Dense Normalize LayerNorm",
    "Normalize Normalize",
]


@pytest.mark.parametrize("order", ORDERS)
def test_modules_in_any_order_are_served_and_saved_again(order, tmp_path):
    folder = foreign(tmp_path / "model", "bert", "bidirectional")
    chain(folder, order)
    loaded = Embedder.load(folder)
    assert_equals_theirs(folder, loaded)
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"))
    (tmp_path / "saved/slimvec.json").unlink()
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"))


def test_every_way_to_embed_runs_the_head(tmp_path):
    folder = foreign(tmp_path / "model")
    add_dense(folder, 32, 12, bias=False)
    add_module(folder, "Normalize")
    loaded = Embedder.load(folder, engine="fused")
    expected = loaded.embed_documents(TEXTS)
    assert_equals_theirs(folder, loaded)
    np.testing.assert_allclose(loaded.embed_long(TEXTS, policy="window-mean").vectors, expected, atol=1e-6)
    np.testing.assert_allclose(loaded.open(TEXTS[1], role="document").vector, expected[1], atol=1e-5)
    np.testing.assert_allclose(loaded.prefixes(TEXTS[1], role="document").vectors[-1], expected[1], atol=1e-5)
    explained = loaded.explain(TEXTS[0], TEXTS[1], query_role="document")
    assert explained.cosine == pytest.approx(float(expected[0] @ expected[1]), abs=1e-5)
    poolings = loaded.embed_poolings(TEXTS, [loaded.spec.pooling])
    np.testing.assert_allclose(poolings[0].vectors, expected, atol=1e-6)
    fewer = loaded.embed_documents(TEXTS, dims=5)
    np.testing.assert_allclose(np.linalg.norm(fewer, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(fewer, Embedder.load(folder, dims=5).embed_documents(TEXTS), atol=1e-6)


def test_explaining_needs_a_linear_head(tmp_path):
    folder = foreign(tmp_path / "model")
    add_dense(folder, 32, 12, "activation.Tanh")
    with pytest.raises(ModelError, match="not linear: a vector is not a sum over its tokens"):
        Embedder.load(folder).explain("a", "b")


def test_the_head_is_trained_and_kept(tmp_path):
    folder = foreign(tmp_path / "model")
    add_dense(folder, 32, 12, "activation.Tanh")
    model = load_model(folder)
    model.requires_grad_(True)
    model(model.tokenizer.tokenize(TEXTS).pack()).square().sum().backward()
    weight = model.head.layers[0].linear.weight
    assert weight.grad.abs().max() > 0
    with torch.no_grad():
        weight.add_(weight.grad, alpha=0.1)
    moved = Embedder.from_model(model.requires_grad_(False))
    moved.save(tmp_path / "moved")
    assert_equals_theirs(tmp_path / "moved", moved)


def test_a_head_with_a_pickled_file_is_read_as_tensors_alone(tmp_path):
    folder = foreign(tmp_path / "model")
    weight = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    add_module(folder, "Dense", DENSE)
    torch.save({"linear.weight": weight}, folder / "2_Dense/pytorch_model.bin")
    assert_equals_theirs(folder, Embedder.load(folder))
    torch.save({"linear.weight": weight, "hook": print}, folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin is cut, or a pickle of more than tensors"):
        Embedder.load(folder)


REFUSED = [
    ("Dense", DENSE, None, "2_Dense has no weights"),
    ("Dense", DENSE, {"linear.weight": torch.zeros(8, 31)}, r"\(8, 31\).*expected.*\(8, 32\)"),
    ("Dense", DENSE, {"linear.weight": torch.zeros(8, 32), "more": torch.zeros(1)}, "more.*expected"),
    ("Dense", {**DENSE, "in_features": 30}, {}, "takes width 30; expected 32"),
    ("Dense", {**DENSE, "activation_function": "mine.Softly"}, {}, "activation_function 'mine.Softly'"),
    ("Dense", {**DENSE, "activation_function": "torch.nn.PReLU"}, {}, "activation_function 'torch.nn.PReLU'"),
    ("Dense", {**DENSE, "module_input_name": "token_embeddings"}, {}, "module_input_name 'token_embeddings'"),
    ("Dense", {"out_features": 8}, {}, "in_dims: expected a valid integer"),
    ("LayerNorm", {"dimension": 8}, {}, "takes width 8; expected 32"),
    ("WordWeights", {}, {}, "type 'sentence_transformers.models.WordWeights'"),
    ("Pooling", {"pooling_mode": "mean"}, {}, "modules Transformer, Pooling, Pooling"),
]


@pytest.mark.parametrize(("kind", "config", "tensors", "message"), REFUSED)
def test_what_is_not_served_is_named(kind, config, tensors, message, tmp_path):
    folder = foreign(tmp_path / "model")
    add_module(folder, kind, config, tensors)
    with pytest.raises(ModelError, match=message):
        Embedder.load(folder)


def test_a_module_type_is_known_by_its_whole_name(tmp_path):
    folder = foreign(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    for other in ("custom_st.Transformer", "own_module.Pooling", "sentence_transformers.models.mine.Pooling"):
        kinds = [other if entry["type"].endswith(other[-7:]) else entry["type"] for entry in modules]
        changed = [entry | {"type": kind} for entry, kind in zip(modules, kinds, strict=True)]
        (folder / "modules.json").write_text(json.dumps(changed))
        with pytest.raises(ModelError, match=other):
            Embedder.load(folder)


def test_what_sentence_transformers_itself_saves_is_read(tmp_path):
    folder = foreign(tmp_path / "model", "bert", "bidirectional")
    chain(folder, "Dropout Dense LayerNorm Normalize")
    sentence_transformer(folder).save(str(tmp_path / "again"))
    loaded = Embedder.load(tmp_path / "again")
    assert [type(layer).__name__ for layer in loaded.spec.head] == ["DropoutLayer", "DenseLayer", "NormLayer"]
    assert isinstance(loaded.spec.head[1], DenseLayer)
    assert_equals_theirs(tmp_path / "again", loaded)
