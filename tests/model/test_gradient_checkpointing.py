"""Gradient checkpointing: less is kept of a pass, and the gradient stays the same to the last bit."""

import pytest
import torch

from slimvec.model.adapters import add_lora
from slimvec.model.gradient_checkpointing import checkpoint_gradients
from slimvec.model.spec import LoraSettings
from tests import tiny


def gradients(made, batch):
    made.train()
    torch.manual_seed(0)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        vectors = made(batch)
    (vectors * torch.linspace(-1, 1, vectors.shape[1])).sum().backward()
    return {n: p.grad for n, p in made.named_parameters() if p.grad is not None}, sum(kept)


@pytest.mark.parametrize(
    ("architecture", "tuning"),
    [("llama", "lora with dropout"), ("qwen2", "full"), ("gemma3_text", "lora with dropout"), ("bert", "full")],
)
def test_the_gradient_is_the_same_and_less_is_kept(architecture, tuning):
    found = []
    for checkpointed in (False, True):
        made = tiny.embedding_model(architecture, "bidirectional")
        if tuning == "full":
            made.requires_grad_(True)
        else:
            add_lora(made.backbone, LoraSettings(rank=2, alpha=4, dropout=0.3), seed=1)
        if checkpointed:
            checkpoint_gradients(made.backbone)
        found.append(gradients(made, tiny.random_batch([5, 9, 3])))
    (wanted, kept), (got, kept_by_checkpoints) = found
    assert wanted.keys() == got.keys()
    assert wanted
    for name, gradient in wanted.items():
        assert torch.equal(got[name], gradient), name
    assert kept_by_checkpoints < kept / 2
