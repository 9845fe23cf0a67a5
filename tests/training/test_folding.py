"""Folded LoRA against PEFT's own, in value and in gradient."""

import pytest
import torch

from slimvec.errors import ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.spec import LoraSettings
from slimvec.training.step.folding import folded_lora
from tests import tiny


def with_adapter(architecture, *, dropout=0.0):
    made = tiny.embedding_model(architecture)
    add_lora(made.backbone, LoraSettings(rank=3, alpha=5, dropout=dropout))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    return made


def value_and_gradients(made, batch):
    made.zero_grad()
    vectors = made(batch)
    grad = torch.linspace(-1, 1, vectors.numel()).view_as(vectors)
    vectors.backward(grad)
    return vectors.detach(), {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3_text", "bert"])
def test_equals_peft(architecture):
    made = with_adapter(architecture)
    batch = tiny.random_batch([5, 9, 2])
    vectors, wanted = value_and_gradients(made, batch)
    with folded_lora(made.modules()):
        folded, found = value_and_gradients(made, batch)
    torch.testing.assert_close(folded, vectors, rtol=1e-4, atol=1e-6)
    assert len(wanted) >= 36
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_follows_the_adapter_on_refresh_and_leaves_no_trace():
    made = with_adapter("llama")
    batch = tiny.random_batch([4])
    with torch.no_grad(), folded_lora(made.modules()) as folding:
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.mul_(-2)
        stale = made(batch)
        folding.refresh()
        fresh = made(batch)
    with torch.no_grad():
        plain = made(batch)
    torch.testing.assert_close(fresh, plain, rtol=1e-4, atol=1e-6)
    assert float((stale - plain).abs().max()) > 1e-3


def test_bf16_base_with_float32_adapter_gets_float32_gradients():
    made = with_adapter("llama")
    for parameter in made.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    batch = tiny.random_batch([6, 3])
    with folded_lora(made.modules()):
        vectors, found = value_and_gradients(made, batch)
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    exact, _ = value_and_gradients(with_adapter("llama"), batch)
    assert float(torch.cosine_similarity(vectors, exact).min()) > 0.999


def test_refuses_what_it_cannot_fold():
    made = with_adapter("llama", dropout=0.1)
    with (
        pytest.raises(ModelError, match=r"dropout or DoRA cannot be folded; set tuning\.fold=false"),
        folded_lora(made.modules()),
    ):
        pass
    with pytest.raises(ModelError, match="no LoRA layer to fold"), folded_lora(tiny.embedding_model().modules()):
        pass
