"""The frozen layers of a model in training on the fused decoder: the states that the model's own layers give."""

import re

import pytest
import torch

from slimvec.engine import int8_texts
from slimvec.engine.frozen import open_frozen
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import DECODERS
from slimvec.model.frozen_layers import frozen_layers, num_frozen, own_states
from slimvec.model.spec import LoraSettings
from slimvec.text.batch import PackedBatch
from tests import tiny
from tests.engine.fused_models import ISAS, use_int8, use_isa

BATCH = PackedBatch.from_sequences([[5, 9, 7, 3, 8, 11, 2, 4], [6], [9, 9, 1, 30], [5, 9, 7, 3, 8, 11, 2, 5]])


def made(architecture, mode, first_layer=2):
    """A model with an adapter that is not zero on the layers from the first one on."""
    model = tiny.embedding_model(architecture, mode)
    add_lora(model.backbone, LoraSettings(rank=2, alpha=4, first_layer=first_layer), seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.backbone.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return model


def gradients(model):
    model.zero_grad()
    vectors = model(BATCH)
    (vectors * torch.arange(vectors.numel()).view_as(vectors).cos()).sum().backward()
    return vectors.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("mode", tiny.MODES)
@pytest.mark.parametrize("architecture", DECODERS)
def test_vectors_and_gradients_are_the_same_to_rounding(architecture, mode):
    model = made(architecture, mode)
    assert num_frozen(model.backbone) == 2
    names = [name for name, _ in model.named_parameters()]
    expected, grads = gradients(model)
    for states in (open_frozen(model.backbone, 2), own_states(model.backbone, 2)):
        with frozen_layers(model.backbone, 2, states):
            vectors, found = gradients(model)
        torch.testing.assert_close(vectors, expected, atol=2e-6, rtol=2e-5)
        assert found.keys() == grads.keys()
        for name, grad in found.items():
            torch.testing.assert_close(grad, grads[name], atol=2e-5, rtol=2e-4)
    assert [name for name, _ in model.named_parameters()] == names
    assert torch.equal(gradients(model)[0], expected)


@pytest.mark.parametrize("isa", ISAS)
def test_the_kernels_run_them(isa, monkeypatch):
    use_isa(isa, monkeypatch)
    model = made("gemma3_text", "causal")
    expected, _ = gradients(model)
    states = open_frozen(model.backbone, 2)
    assert (states.kernel, states.isa) == ("native", isa)
    with frozen_layers(model.backbone, 2, states):
        torch.testing.assert_close(gradients(model)[0], expected, atol=2e-6, rtol=2e-5)


@pytest.fixture
def int8_kernel(monkeypatch):
    """Have the best kernels there are multiply in int8, and tiny models' states move further than a real one's."""
    use_int8(ISAS[0], monkeypatch)
    monkeypatch.setattr(int8_texts, "MIN_COSINE", 0.99)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("architecture", "mode"), [("llama", "causal"), ("gemma3_text", "bidirectional")])
@pytest.mark.usefixtures("int8_kernel")
def test_frozen_layers_in_int8_are_near_those_in_full(architecture, mode, isa, monkeypatch):
    use_isa(isa, monkeypatch)
    model, said = made(architecture, mode), []
    expected, grads = gradients(model)
    states = open_frozen(model.backbone, 2, int8=model.tokenizer, remark=said.append)
    assert (states.kernel, states.int8, states.isa, said) == ("native", True, isa, [])
    with frozen_layers(model.backbone, 2, states):
        vectors, found = gradients(model)
    assert not torch.equal(vectors, expected)
    assert torch.cosine_similarity(vectors, expected).min() > 0.995
    grads, found = (torch.cat([grad.flatten() for grad in each.values()]) for each in (grads, found))
    assert torch.cosine_similarity(grads, found, dim=0) > 0.99


@pytest.mark.usefixtures("int8_kernel")
def test_where_int8_is_not_to_be_had_the_layers_run_in_full_and_it_is_said(monkeypatch):
    def opened(model):
        said = []
        states = open_frozen(model.backbone, 2, int8=model.tokenizer, remark=said.append)
        (line,) = said
        assert states is None or not states.int8
        return states is not None, line.removeprefix("frozen layers in the model's own dtype, not in int8: ")

    model = made("llama", "causal")
    with monkeypatch.context() as patched:
        patched.setattr(int8_texts, "MIN_COSINE", 1.1)
        full, why = opened(model)
        assert full
        assert re.match(
            r"what leaves the first 2 layers in int8 gives vectors with cosine 0\.99\d\d to those in full", why
        )
    with monkeypatch.context() as patched:
        patched.setenv("SLIMVEC_KERNELS", "off")
        full, why = opened(model)
        assert full  # in plain torch
        assert why.startswith("no kernel multiplies in it: ")
    model.backbone.recency = 0.5
    assert opened(model) == (False, "attention is calibrated with recency 0.5")


def test_layers_below_are_not_run(monkeypatch):
    model = made("llama", "causal")
    states = open_frozen(model.backbone, 2)
    lower = [m for n, m in model.backbone.named_modules() if n.endswith(("layers.0", "layers.1"))]
    assert len(lower) == 2
    for layer in lower:
        monkeypatch.setattr(layer, "forward", lambda *_, **__: pytest.fail("it ran"))
    with frozen_layers(model.backbone, 2, states):
        gradients(model)


def test_what_is_frozen():
    assert num_frozen(made("qwen3", "causal", first_layer=0).backbone) == 0
    assert num_frozen(made("bert", "bidirectional").backbone) == 0
    assert num_frozen(tiny.embedding_model().requires_grad_(False).backbone) == 3
    whole = tiny.embedding_model()
    whole.requires_grad_(False)
    whole.backbone.hf_model.get_input_embeddings().requires_grad_(True)
    assert num_frozen(whole.backbone) == 0


def test_what_the_fused_decoder_does_not_run_is_left_to_the_model():
    model = made("llama", "causal")
    model.backbone.recency = 0.5
    assert open_frozen(model.backbone, 2) is None
    model = made("llama", "causal")
    model.backbone.hf_model.config.hidden_act = "relu"
    assert open_frozen(model.backbone, 2) is None
    assert open_frozen(tiny.embedding_model().to(torch.float64).backbone, 2) is None
