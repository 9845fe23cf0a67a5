"""Saved and loaded again: by slimvec, and by sentence-transformers with the same vectors."""

import json
import warnings
from importlib.metadata import version

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model
from slimvec.model.manifest import Origin
from slimvec.model.spec import LoraSettings, Pooling
from tests.tiny import ARCHITECTURES, MODES, embedding_model

TEXTS = ["one text", "another, longer text with more in it", "x", "mid-sized one"]
POOLINGS = [
    Pooling(mode="mean"),
    Pooling(mode="last"),
    Pooling(mode="weighted"),
    Pooling(mode="cls"),
    Pooling(mode="beta", beta=3.0),
    Pooling(mode="mean", include_prompt=False),
    Pooling(mode="weighted", include_prompt=False),
    Pooling(mode="beta", beta=3.0, include_prompt=False),
]


def embedder(architecture="llama", mode="causal", **settings):
    return Embedder.from_model(embedding_model(architecture, mode, **settings))


def disturb_adapter(model):
    """Give a fresh adapter some effect."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)


def vectors_by_role(embedder):
    return embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS)


def sentence_transformer(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)


def assert_same_in_sentence_transformers(folder, ours):
    model = sentence_transformer(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.encode_query(TEXTS), model.encode_document(TEXTS)
    for first, second in zip(ours, theirs, strict=True):
        assert (first * second).sum(1).min() > 0.99999


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_survives_saving(architecture, mode, tmp_path):
    saved = embedder(architecture, mode)
    saved.save(tmp_path / "model")
    loaded = Embedder.load(tmp_path / "model")
    assert loaded.spec == saved.spec
    for first, second in zip(vectors_by_role(saved), vectors_by_role(loaded), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert loaded.verify(tmp_path / "model") > 0.99999
    assert_same_in_sentence_transformers(tmp_path / "model", vectors_by_role(saved))


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_every_pooling_reads_the_same_in_sentence_transformers(pooling, mode, tmp_path):
    saved = embedder("llama", mode, pooling=pooling)
    saved.save(tmp_path / "model")
    assert_same_in_sentence_transformers(tmp_path / "model", vectors_by_role(saved))


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_an_adapter_is_saved_alone_or_merged(merged, mode, tmp_path):
    embedder("qwen2", mode).save(tmp_path / "base")
    model = load_model(tmp_path / "base")
    adapted = Embedder.from_model(model)
    before = adapted.embed_documents(TEXTS)
    add_lora(model.backbone, LoraSettings(rank=4))
    disturb_adapter(model)
    ours = vectors_by_role(adapted)
    assert np.abs(ours[1] - before).max() > 0.01
    adapted.save(tmp_path / "adapted", merged=merged)
    np.testing.assert_array_equal(vectors_by_role(adapted)[0], ours[0], err_msg="saving changed the model")
    assert (tmp_path / "adapted/adapter_config.json").exists() != merged
    for first, second in zip(ours, vectors_by_role(Embedder.load(tmp_path / "adapted")), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert_same_in_sentence_transformers(tmp_path / "adapted", ours)


def test_fewer_dims_read_the_same_everywhere(tmp_path):
    saved = embedder(dims=12)
    saved.save(tmp_path / "model")
    assert saved.embed_documents(TEXTS).shape == (4, 12)
    assert Embedder.load(tmp_path / "model").embed_documents(TEXTS).shape == (4, 12)
    assert_same_in_sentence_transformers(tmp_path / "model", vectors_by_role(saved))


def test_a_folder_of_sentence_transformers_is_read_without_our_manifest(tmp_path):
    saved = embedder("bert", "bidirectional", pooling=Pooling(mode="weighted"))
    saved.save(tmp_path / "model")
    (tmp_path / "model/slimvec.json").unlink()
    loaded = Embedder.load(tmp_path / "model")
    assert loaded.spec.pooling == saved.spec.pooling
    assert loaded.spec.max_tokens == saved.spec.max_tokens
    np.testing.assert_allclose(loaded.embed_queries(TEXTS), saved.embed_queries(TEXTS), atol=1e-6)


def test_the_guard_refuses_a_mode_that_the_weights_do_not_have(tmp_path):
    embedder("llama", "bidirectional").save(tmp_path / "model")
    manifest = tmp_path / "model/slimvec.json"
    content = json.loads(manifest.read_text())
    content["spec"]["attention"] = "causal"
    manifest.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="config declares bidirectional attention; expected causal"):
        load_model(tmp_path / "model")


def test_another_mode_than_trained_is_refused(tmp_path):
    embedder("llama", "causal").save(tmp_path / "model")
    with pytest.raises(
        ModelError, match="was trained with causal attention; expected no other, bidirectional was asked"
    ):
        load_model(tmp_path / "model", attention="bidirectional")


def test_the_tokenizer_s_class_is_one_that_transformers_4_knows(tmp_path):
    embedder().save(tmp_path / "m")
    settings = json.loads((tmp_path / "m/tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    (tmp_path / "m/tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": "TokenizersBackend"}))
    Embedder.load(tmp_path / "m").save(tmp_path / "copy")  # one that was made with transformers 5
    assert json.loads((tmp_path / "copy/tokenizer_config.json").read_text()) == settings


@pytest.mark.parametrize("change", [{"recency": "7"}, {"echo": True}])
def test_a_manifest_with_what_is_never_saved_is_refused(change, tmp_path):
    embedder().save(tmp_path / "m")
    path = tmp_path / "m/slimvec.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "spec": {**manifest["spec"], **change}}))
    with pytest.raises(ModelError, match=r"slimvec.json has (recency 7.0|echo True); expected none"):
        Embedder.load(tmp_path / "m")


def test_an_existing_folder_is_kept(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/precious").write_text("x")
    with pytest.raises(InputError, match="exists"):
        embedder().save(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    embedder().save(tmp_path / "model", force=True)
    assert not (tmp_path / "model/precious").exists()


def test_dims_larger_than_the_model_are_refused(tmp_path):
    embedder().save(tmp_path / "model")
    with pytest.raises(InputError, match="dims 33; expected 1 to 32, the model's width"):
        Embedder.load(tmp_path / "model", dims=33)
    with pytest.raises(InputError, match="dims 33; expected 1 to 32"):
        embedder().embed_documents(TEXTS, dims=33)


def test_a_folder_without_tokenizer_is_refused(tmp_path):
    embedder().save(tmp_path / "model")
    (tmp_path / "model/tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        load_model(tmp_path / "model")


def test_an_adapter_alone_needs_a_base_with_a_name(tmp_path):
    adapted = embedding_model()
    with pytest.raises(ModelError, match="no adapter on a base with a name"):
        Embedder.from_model(adapted).save(tmp_path / "model", merged=False)
    add_lora(adapted.backbone, LoraSettings(rank=2))
    assert adapted.origin is None
    with pytest.raises(ModelError, match="save the model merged"):
        Embedder.from_model(adapted).save(tmp_path / "model", merged=False)
    assert not list(tmp_path.iterdir())


def test_the_origin_is_written_down(tmp_path):
    model = embedding_model()
    model.origin = Origin(source="some-base", revision="abc")
    Embedder.from_model(model).save(tmp_path / "model", training={"recipe": {"seed": 1}})
    manifest = json.loads((tmp_path / "model/slimvec.json").read_text())
    assert manifest["base"] == {"source": "some-base", "revision": "abc"}
    assert manifest["training"] == {"recipe": {"seed": 1}}
    assert manifest["versions"]["torch"] == version("torch")
