"""A decoder in two parts, the lower one kept on disk: the vectors of the whole, and no text computed twice."""

import numpy as np
import pytest
import torch

from slimvec.engine import frozen
from slimvec.engine.embedder import Embedder
from slimvec.engine.frozen import SplitDecoder, open_split
from slimvec.engine.fused import FusedDecoder
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import DECODERS
from slimvec.model.folder import save_model
from slimvec.model.spec import LoraSettings
from tests import tiny
from tests.engine.fused_models import ISAS, use_isa

TEXTS = ["one two three", "on the tree", "a much longer text about files and folders and sockets", "one two three", "x"]
GB = 1 << 30


def saved(folder, *, architecture="llama", mode="causal", first_layer=2, merged=False, seed=2):
    """Save a model with an adapter that is not zero on the layers from the first one on; all have the same base."""
    base = folder.parent / f"base-{architecture}-{mode}"
    if not base.exists():
        save_model(tiny.embedding_model(architecture, mode), base)
    model = Embedder.load(base, engine="transformers")
    trained = frozen.load_opened(model._opened)
    add_lora(trained.backbone, LoraSettings(rank=2, alpha=4, first_layer=first_layer), seed=1)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in trained.backbone.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    save_model(trained, folder, merged=merged)
    return folder


@pytest.fixture
def computed(monkeypatch):
    """Keeps the lengths of the texts that run through the first layers."""
    lengths = []
    real = frozen.open_frozen

    def counting(backbone, number):
        states = real(backbone, number)

        def count(batch):
            lengths.extend(batch.lengths)
            return states(batch)

        return None if states is None else count

    monkeypatch.setattr(frozen, "open_frozen", counting)
    return lengths


def embedded(folder, number=2, **settings):
    with open_split(folder, number, max_bytes=GB, **settings) as embedder:
        return embedder.embed(TEXTS, role="query").vectors


@pytest.mark.parametrize("mode", tiny.MODES)
@pytest.mark.parametrize("architecture", DECODERS)
def test_vectors_are_those_of_the_whole_model(tmp_path, architecture, mode, computed):
    folder = saved(tmp_path / "model", architecture=architecture, mode=mode)
    expected = Embedder.load(folder).embed(TEXTS, role="query").vectors
    np.testing.assert_allclose(embedded(folder), expected, atol=2e-6)
    once = len(computed)
    assert once
    np.testing.assert_allclose(embedded(folder), expected, atol=2e-6)
    assert len(computed) == once


@pytest.mark.parametrize("isa", ISAS)
def test_the_kernels_run_both_parts(tmp_path, isa, monkeypatch):
    use_isa(isa, monkeypatch)
    folder = saved(tmp_path / "model", architecture="gemma3_text")
    with open_split(folder, 2, max_bytes=GB) as embedder:
        assert (embedder.engine, embedder.engine_isa) == ("fused/native", isa)
        found = embedder.embed(TEXTS).vectors
    np.testing.assert_allclose(found, Embedder.load(folder, engine="transformers").embed(TEXTS).vectors, atol=1e-5)


def test_models_share_the_states_of_layers_that_are_the_same(tmp_path, computed):
    embedded(saved(tmp_path / "first"))
    once = len(computed)
    other, merged = saved(tmp_path / "other", seed=7), saved(tmp_path / "merged", seed=7, merged=True)
    vectors = embedded(other)
    np.testing.assert_allclose(embedded(merged), vectors, atol=2e-6)
    embedded(tmp_path / "base-llama-causal")
    assert len(computed) == once
    np.testing.assert_allclose(vectors, Embedder.load(other).embed(TEXTS, role="query").vectors, atol=2e-6)


def test_a_model_that_trained_below_has_states_of_its_own(tmp_path, computed):
    embedded(saved(tmp_path / "first"))
    once = len(computed)
    lower = saved(tmp_path / "lower", first_layer=0)
    np.testing.assert_allclose(embedded(lower), Embedder.load(lower).embed(TEXTS, role="query").vectors, atol=2e-6)
    assert len(computed) == 2 * once


@pytest.mark.parametrize(
    ("architecture", "mode", "number", "settings"),
    [
        ("bert", "bidirectional", 2, {}),
        ("llama", "causal", 0, {}),
        ("llama", "causal", 99, {}),
        ("llama", "causal", 2, {"recency": 2.0}),
    ],
)
def test_what_cannot_be_split_is_run_whole(tmp_path, architecture, mode, number, settings, computed):
    save_model(tiny.embedding_model(architecture, mode), tmp_path / "model")
    with open_split(tmp_path / "model", number, max_bytes=GB, **settings) as embedder:
        assert not isinstance(embedder.backbone, SplitDecoder)
        found = embedder.embed(TEXTS).vectors
    assert np.array_equal(found, Embedder.load(tmp_path / "model", **settings).embed(TEXTS).vectors)
    assert not computed


def test_layers_the_fused_decoder_does_not_run_are_run_whole(tmp_path, monkeypatch):
    folder = saved(tmp_path / "model")

    def refused(*_, **__):
        raise frozen.UnsupportedError("a test")

    monkeypatch.setattr(FusedDecoder, "above", refused)
    with open_split(folder, 2, max_bytes=GB) as embedder:
        assert isinstance(embedder.backbone, FusedDecoder)
