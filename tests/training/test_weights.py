"""Masters, AdamW and what a checkpoint takes of them."""

import pytest
import torch
from torch import nn

from slimvec.errors import TrainingError
from slimvec.training.recipe import Optim
from slimvec.training.step.weights import TrainedWeights


def parameters(dtype=torch.float32):
    torch.manual_seed(0)
    return [
        ("matrix", nn.Parameter(torch.randn(3, 4).to(dtype))),
        ("bias", nn.Parameter(torch.randn(4).to(dtype))),
        ("frozen", nn.Parameter(torch.randn(2), requires_grad=False)),
    ]


def push(named, seed):
    generator = torch.Generator().manual_seed(seed)
    sum((p.float() * torch.randn(p.shape, generator=generator)).sum() for _, p in named if p.requires_grad).backward()


def reference(named, settings, lrs):
    """AdamW as the paper has it, in double precision."""
    values = [p.detach().double().clone() for _, p in named[:2]]
    moments = [(torch.zeros_like(v), torch.zeros_like(v)) for v in values]
    for step, lr in enumerate(lrs, start=1):
        generator = torch.Generator().manual_seed(step)
        for value, (m, v) in zip(values, moments, strict=True):
            gradient = torch.randn(value.shape, generator=generator).double()
            m.mul_(settings.betas[0]).add_(gradient * (1 - settings.betas[0]))
            v.mul_(settings.betas[1]).add_(gradient**2 * (1 - settings.betas[1]))
            if value.dim() > 1:
                value.mul_(1 - lr * settings.weight_decay)
            mean, spread = m / (1 - settings.betas[0] ** step), v / (1 - settings.betas[1] ** step)
            value.sub_(lr * mean / (spread.sqrt() + 1e-8))
    return values


def test_adamw_decays_matrices_only():
    named, settings = parameters(), Optim(weight_decay=0.5)
    lrs = [0.1, 0.05, 0.02]
    wanted = reference(named, settings, lrs)
    weights = TrainedWeights(named, settings)
    for step, lr in enumerate(lrs, start=1):
        push(named, step)
        weights.step(lr)
    for (_, parameter), value in zip(named, wanted, strict=False):
        torch.testing.assert_close(parameter.detach().double(), value, rtol=1e-5, atol=1e-6)
    assert weights.num_parameters == 16


def test_bf16_weights_add_up_steps_too_small_for_them():
    named = parameters(torch.bfloat16)
    start = named[0][1].detach().clone()
    weights = TrainedWeights(named, Optim(weight_decay=0))
    for step in range(40):
        (named[0][1].sum() + named[1][1].sum()).backward()
        assert named[0][1].grad is None
        weights.step(1e-4)
        if step == 0:
            assert (named[0][1] == start).sum() > 6
    torch.testing.assert_close(named[0][1].float(), start.float() - 4e-3, rtol=0.005, atol=1e-3)


def test_bf16_gradients_are_summed_in_float32():
    parameter = nn.Parameter(torch.zeros(1, 1, dtype=torch.bfloat16))
    weights = TrainedWeights([("w", parameter)], Optim(clip=0))
    for slope in [256.0, *[1.0] * 8]:
        (parameter * slope).sum().backward()
    assert weights.clip(0) == 264.0


def test_lowered_parameters_follow_their_masters():
    named = parameters()
    exact = named[0][1].detach().clone()
    weights = TrainedWeights(named, Optim(), lower_to=torch.bfloat16)
    assert named[0][1].dtype == torch.bfloat16
    assert weights.tensors()["weight.matrix"].tolist() == exact.tolist()


def test_clipping():
    named = parameters()
    weights = TrainedWeights(named, Optim())
    for _, parameter in named[:2]:
        parameter.grad = torch.full_like(parameter, 2.0)
    assert weights.clip(1.0) == pytest.approx(8.0)
    assert weights.clip(0) == pytest.approx(1.0, rel=1e-4)
    assert weights.clip(5.0) == pytest.approx(1.0, rel=1e-4)
    assert weights.clip(0) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("steps_before", [0, 2])
def test_goes_on_from_saved_tensors_bit_by_bit(dtype, steps_before):
    named, settings = parameters(dtype), Optim()
    weights = TrainedWeights(named, settings)
    for step in range(steps_before):
        push(named, step)
        weights.step(0.1)
    saved = {name: tensor.clone() for name, tensor in weights.tensors().items()}
    other = parameters(dtype)
    again = TrainedWeights(other, settings)
    push(other, 99)
    again.step(0.3)
    again.close()
    again = TrainedWeights(other, settings)
    again.load(saved)
    for step in range(2, 5):
        for moved, moving in ((named, weights), (other, again)):
            push(moved, step)
            moving.step(0.05)
    for name, tensor in weights.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name
    for (_, first), (_, second) in zip(named, other, strict=True):
        assert torch.equal(first, second)


def test_nothing_to_train_and_foreign_checkpoints():
    frozen = [("w", nn.Parameter(torch.zeros(2), requires_grad=False))]
    with pytest.raises(TrainingError, match="no weight of the model is trainable; add an adapter"):
        TrainedWeights(frozen, Optim())
    weights = TrainedWeights(parameters(), Optim())
    with pytest.raises(TrainingError, match=r"no weight for matrix; expected \(3, 4\)"):
        weights.load({})
    with pytest.raises(TrainingError, match=r"a weight of \(1,\) for matrix"):
        weights.load({"weight.matrix": torch.zeros(1)})
