"""A model in training on the kernels: the same vectors and gradients as without them, and what is left as it was."""

import pytest
import torch

from slimvec.engine.fast_training import fast_training
from slimvec.model.architectures import DECODERS
from slimvec.model.attention import FAST_ATTENTION
from tests import tiny
from tests.engine.fused_models import ISAS, use_isa
from tests.engine.test_frozen import gradients, made


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    use_isa(request.param, monkeypatch)


def exchanged(model):
    names = ("forward", FAST_ATTENTION)
    return [(type(module).__name__, name) for module in model.modules() for name in names if name in vars(module)]


@pytest.mark.parametrize("mode", tiny.MODES)
@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.usefixtures("isa")
def test_a_model_has_the_same_vectors_and_gradients(architecture, mode):
    model = made(architecture, mode, first_layer=0)
    expected, grads = gradients(model)
    with fast_training(model.backbone):
        parts = exchanged(model)
        vectors, found = gradients(model)
    num_layers = model.backbone.config.num_hidden_layers
    assert len(parts) >= 4 * num_layers + 1  # of a layer two norms, a gate and its attention; and the last norm
    assert [name for _, name in parts].count(FAST_ATTENTION) == num_layers
    torch.testing.assert_close(vectors, expected, atol=2e-6, rtol=2e-5)
    for name, grad in found.items():
        torch.testing.assert_close(grad, grads[name], atol=2e-5, rtol=2e-4)
    assert not exchanged(model)
    assert torch.equal(gradients(model)[0], expected)


@pytest.mark.usefixtures("isa")
def test_norms_that_are_trained_stay():
    model = tiny.embedding_model("llama", "causal")  # all of it is trained
    with fast_training(model.backbone):
        parts = exchanged(model)
        _, grads = gradients(model)
    assert set(parts) == {("LlamaMLP", "forward"), ("LlamaAttention", FAST_ATTENTION)}
    assert any("norm" in name for name in grads)


def test_nothing_changes_without_kernels_and_for_other_dtypes(monkeypatch):
    model = tiny.embedding_model("llama", "causal").to(torch.float64)
    with fast_training(model.backbone):
        assert not exchanged(model)
    monkeypatch.setenv("SLIMVEC_KERNELS", "off")
    model = made("llama", "causal")
    with fast_training(model.backbone):
        assert not exchanged(model)
