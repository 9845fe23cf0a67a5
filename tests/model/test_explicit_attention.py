"""Attention with its scores written out against SDPA, in value and in gradient."""

import pytest
import torch

from slimvec.model import attention
from slimvec.model.adapters import add_lora
from slimvec.model.attention import Packing, grouped_sdpa
from slimvec.model.explicit_attention import MAX_LENGTH, explicit_attention, is_worth_it
from slimvec.model.spec import LoraSettings
from tests import tiny


def heads(batch, width=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    shapes = [(count, batch.num_tokens, width) for count in (4, 2, 2)]
    return [torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("mode", tiny.MODES)
@pytest.mark.parametrize("window", [None, 3])
def test_equals_sdpa(monkeypatch, mode, window):
    batch = tiny.random_batch([5, 1, 7, 5, 12])
    packing = Packing.of(batch, mode)
    inputs = heads(batch)
    slope = torch.randn(batch.num_tokens, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    monkeypatch.setattr(attention, "is_worth_it", lambda _query: True)
    found = {}
    for training in (False, True):
        out = grouped_sdpa(*inputs, packing, scale=0.3, window=window, training=training)
        found[training] = [out, *torch.autograd.grad(out, inputs, slope)]
    for first, second in zip(found[False], found[True], strict=True):
        torch.testing.assert_close(second, first, rtol=1e-5, atol=1e-6)


def test_gradient():
    batch = tiny.random_batch([3, 3])
    inputs = [x.detach().unflatten(1, (2, 3)).transpose(0, 1).clone().requires_grad_() for x in heads(batch)]
    mask = torch.zeros(3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
    # The softmax runs in float32, so the finite differences are coarse.
    assert torch.autograd.gradcheck(
        lambda q, k, v: explicit_attention(q, k, v, mask, scale=0.5), inputs, eps=1e-2, atol=1e-3, rtol=1e-2
    )


def test_is_for_short_texts_in_16_bits():
    def query(length, dtype):
        return torch.zeros(1, 2, length, 4, dtype=dtype)

    assert is_worth_it(query(MAX_LENGTH, torch.bfloat16))
    assert not is_worth_it(query(MAX_LENGTH + 1, torch.bfloat16))
    assert not is_worth_it(query(4, torch.float32))


def test_training_in_bf16_gives_the_vectors_of_float32():
    batch = tiny.random_batch([5, 30, 9])
    exact = tiny.embedding_model("llama")
    coarse = tiny.embedding_model("llama").to(torch.bfloat16).train()
    with torch.no_grad():
        assert float(torch.cosine_similarity(exact(batch), coarse(batch)).min()) > 0.999


def test_an_adapter_on_the_upper_layers_only():
    made = tiny.embedding_model("llama").train()
    add_lora(made.backbone, LoraSettings(rank=2, first_layer=2))
    names = [name for name, parameter in made.named_parameters() if parameter.requires_grad]
    assert len(names) == 14
    assert all(".layers.2." in name for name in names)
    seen = []
    for module in made.modules():
        if type(module).__name__ == "LlamaDecoderLayer":
            module.register_forward_hook(lambda _module, _args, out: seen.append(out.requires_grad))
    made(tiny.random_batch([4]))
    assert seen == [False, False, True]
