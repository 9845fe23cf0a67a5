"""Stretched positions: the fused decoder gives what transformers gives, and what is saved loads as it was."""

import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from slimvec.engine.embedder import Embedder
from slimvec.engine.fused.rope import read_ropes
from slimvec.errors import InputError, ModelError
from slimvec.model.folder import load_model, save_model
from slimvec.model.rope_scaling import RopeScaling, scaled_config
from tests import tiny

KINDS = ("theta", "ntk", "linear", "yarn")
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
TEXTS = ["a", "a short text", "b" * 120, " ".join(f"word {n}" for n in range(100))]  # the last has 790 tokens of 256


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rope")
    for architecture in (*DECODERS, "bert"):
        mode = "bidirectional" if architecture == "bert" else "causal"
        save_model(tiny.embedding_model(architecture, mode), folder / architecture)
    return folder


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("kind", KINDS)
def test_fused_equals_transformers_under_every_scaling(kind, architecture, folders):
    scaling = RopeScaling(kind=kind, factor=4)
    loaded = {
        engine: Embedder.load(folders / architecture, rope=scaling, engine=engine, max_tokens=900)
        for engine in ("fused", "transformers")
    }
    fused, reference = (loaded[engine].embed_documents(TEXTS) for engine in ("fused", "transformers"))
    np.testing.assert_allclose(fused, reference, atol=3e-6)
    plain = Embedder.load(folders / architecture, max_tokens=900).embed_documents(TEXTS)
    assert np.abs(plain[0] - fused[0]).max() < 1e-6  # one token has no distance to another
    assert np.abs(plain[3] - fused[3]).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [8, 64])
def test_frequencies_are_those_of_transformers(kind, dim):
    sizes = {"hidden_size": 4 * dim, "head_dim": dim, "num_attention_heads": 4, "max_position_embeddings": 2048}
    _, settings = tiny.CONFIGS["llama"]
    config = {"model_type": "llama", **settings, **sizes}
    changed = scaled_config(config, RopeScaling(kind=kind, factor=8))
    module = _rotary(changed)
    rope = read_ropes(changed, ["full_attention"], dim)["full_attention"]
    torch.testing.assert_close(rope.frequencies(), module.inv_freq, rtol=1e-6, atol=0)
    assert rope.amplitude == pytest.approx(module.attention_scaling)
    assert changed["max_position_embeddings"] == 16384


def _rotary(config):
    """The rotary module of transformers for a config."""
    import transformers

    settings = {key: value for key, value in config.items() if key != "model_type"}
    return transformers.AutoModel.from_config(transformers.LlamaConfig(**settings)).rotary_emb


def test_ntk_leaves_the_fastest_wave_and_stretches_the_slowest_by_the_factor():
    config = {"model_type": "llama", "head_dim": 64, "max_position_embeddings": 100, "rope_theta": 5000.0}
    plain, ntk = (
        read_ropes(c, ["full_attention"], 64)["full_attention"].frequencies()
        for c in (config, scaled_config(config, RopeScaling(kind="ntk", factor=4)))
    )
    assert ntk[0] == plain[0]
    assert float(plain[-1] / ntk[-1]) == pytest.approx(4, rel=1e-5)


def test_only_full_attention_of_gemma_is_stretched():
    config = {"model_type": "gemma3_text", "head_dim": 8, "rope_theta": 1e6, "rope_local_base_freq": 1e4}
    found = scaled_config(config, RopeScaling(kind="yarn", factor=2))["rope_parameters"]
    assert found["sliding_attention"] == {"rope_type": "default", "rope_theta": 1e4}
    assert found["full_attention"]["rope_type"] == "yarn"
    assert found["full_attention"]["rope_theta"] == 1e6


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_loads_as_it_was_here_and_elsewhere(kind, folders, tmp_path):
    scaling = RopeScaling(kind=kind, factor=4)
    embedder = Embedder.load(folders / "llama", rope=scaling, max_tokens=900)
    embedder.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["max_position_embeddings"] == 1024
    assert config["rope_parameters"]["rope_type"] == ("default" if kind in ("theta", "ntk") else kind)
    wanted = embedder.embed_documents(TEXTS)
    for engine in ("fused", "transformers"):
        again = Embedder.load(tmp_path / "saved", engine=engine)
        np.testing.assert_allclose(again.embed_documents(TEXTS), wanted, atol=3e-6)
        assert again.verify(tmp_path / "saved") > 0.999999
    if kind == "yarn":
        theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS)
        np.testing.assert_allclose(theirs, wanted, atol=3e-5)


def test_a_model_is_trained_with_its_stretched_positions(folders):
    model = load_model(folders / "llama", rope=RopeScaling(kind="linear", factor=2))
    assert model.backbone.config.rope_parameters["factor"] == 2
    assert str(model.rope) == "linear:2"


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_stretched_is_refused(kind, folders, tmp_path):
    scaling = RopeScaling(kind=kind, factor=2)
    with pytest.raises(ModelError, match=f"rope scaling {kind}:2 for architecture 'bert'; expected a decoder"):
        Embedder.load(folders / "bert", rope=scaling)
    Embedder.load(folders / "llama", rope=scaling).save(tmp_path / "scaled")
    with pytest.raises(ModelError, match=f"positions are scaled already, by '{kind}:2'"):
        Embedder.load(tmp_path / "scaled", rope=scaling)


def test_heads_with_one_wave_cannot_have_the_slowest_stretched_alone():
    config = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 4}
    with pytest.raises(ModelError, match="rope scaling ntk:2 for heads of 2 numbers; expected 4 or more"):
        scaled_config(config, RopeScaling(kind="ntk", factor=2))
    assert scaled_config(config, RopeScaling(kind="linear", factor=2))["rope_parameters"]["factor"] == 2


def test_an_adapter_alone_cannot_say_it(folders, tmp_path):
    from slimvec.model.adapters import add_lora
    from slimvec.model.manifest import Origin
    from slimvec.model.spec import LoraSettings

    model = load_model(folders / "llama", rope=RopeScaling(kind="linear", factor=2))
    add_lora(model.backbone, LoraSettings(rank=2), seed=0)
    model.origin = Origin(source=str(folders / "llama"))
    with pytest.raises(ModelError, match="does not say that its base is to be loaded with rope scaling linear:2"):
        save_model(model, tmp_path / "adapter", merged=False)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("text", ["yarn", "yarn:0.5", "bigger:2", "ntk:inf", ""])
def test_a_scaling_is_read_as_it_is_written(text):
    assert RopeScaling.parse("ntk:2.5") == RopeScaling(kind="ntk", factor=2.5)
    with pytest.raises(InputError, match=r"expected theta or ntk or linear or yarn, a colon and a factor"):
        RopeScaling.parse(text)
