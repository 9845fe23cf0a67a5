"""The regression of a linear head: the closed form, its penalty, heads it cannot fill, and following the states."""

import pytest
import torch

from slimvec.errors import InputError
from slimvec.model.head import Head
from slimvec.model.spec import DenseLayer
from slimvec.training.step.head_regression import RunningRegression, fit_ridge, linear_head, pooled_states
from slimvec.training.step.processes import Processes
from tests import tiny


def numbers(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_finds_a_linear_map_that_is_there():
    states, true = numbers(200, 6, seed=1), numbers(3, 6, seed=2)
    weights, cosine, _ = fit_ridge(states, states @ true.T)
    torch.testing.assert_close(weights, true, rtol=1e-4, atol=1e-4)
    assert cosine == pytest.approx(1, abs=1e-6)


def test_it_is_the_regression_with_the_penalty_that_does_best_on_texts_left_out():
    states, true = numbers(60, 30, seed=1), numbers(4, 30, seed=2)
    wanted = states @ true.T + 8 * numbers(60, 4, seed=3)  # more noise than signal: a penalty pays
    weights, _, penalty = fit_ridge(states, wanted)
    held = torch.arange(60) % 5 == 0

    def solved(x, y, power):
        damping = 10.0**power * torch.trace(x.T @ x) / 30
        return torch.linalg.solve(x.T @ x + damping * torch.eye(30), x.T @ y).T

    def score(power):
        found = states[held] @ solved(states[~held], wanted[~held], power).T
        return float(torch.cosine_similarity(found, wanted[held]).mean())

    best = max(range(-7, 1), key=score)
    assert best > -7
    torch.testing.assert_close(weights, solved(states, wanted, best))
    assert penalty == 10.0**best


def test_states_are_those_of_each_text_by_itself():
    model = tiny.embedding_model()
    texts = model.tokenizer.tokenize(["a cat", "the dog sleeps on the mat", "b"])
    shares = []
    together = pooled_states(model, texts, on_share=shares.append)
    alone = [model.tokenizer.tokenize([text]) for text in ["a cat", "the dog sleeps on the mat", "b"]]
    torch.testing.assert_close(
        together, torch.cat([pooled_states(model, one, on_share=shares.append) for one in alone]), rtol=1e-4, atol=1e-5
    )
    assert shares[-1] == 1


@pytest.mark.parametrize(
    "layers",
    [
        (),
        (DenseLayer(in_dims=32, out_dims=8),),
        (DenseLayer(in_dims=32, out_dims=8, bias=True, activation="Identity"),),
        (DenseLayer(in_dims=32, out_dims=9, bias=False, activation="Identity"),),
    ],
)
def test_a_head_that_regression_cannot_fill_is_refused(layers):
    model = tiny.embedding_model()
    model.head, model.spec = Head(layers, 32), model.spec.replace(head=layers)
    with pytest.raises(
        InputError, match=r"objective.head_texts for a head of .* and vectors of 8 numbers; expected one"
    ):
        linear_head(model, 8)


def test_a_head_it_can_fill():
    model = tiny.embedding_model()
    layers = (DenseLayer(in_dims=32, out_dims=8, bias=False, activation="Identity"),)
    model.head, model.spec = Head(layers, 32), model.spec.replace(head=layers)
    assert linear_head(model, 8) is model.head.layers[0]


def test_following_is_the_regression_over_all_texts_each_weighed_by_how_long_ago_it_was():
    memory, sizes = 50, (30, 4, 7, 5)
    states = [numbers(size, 6, seed=size) for size in sizes]
    wanted = [numbers(size, 3, seed=100 + size) for size in sizes]
    running = RunningRegression(6, 3, memory=memory).begin(states[0], wanted[0], 0.01)
    weights = [memory / sizes[0]]
    for x, y in zip(states[1:], wanted[1:], strict=True):
        running.add(x, y, Processes.current())
        weights = [weight * (1 - len(x) / memory) for weight in weights] + [1.0]
    rows = torch.cat([weight**0.5 * x for weight, x in zip(weights, states, strict=True)])
    answers = torch.cat([weight**0.5 * y for weight, y in zip(weights, wanted, strict=True)])
    damping = 0.01 * torch.trace(rows.T @ rows) / 6
    expected = torch.linalg.solve(rows.T @ rows + damping * torch.eye(6), rows.T @ answers).T
    torch.testing.assert_close(running.solve(), expected)


def test_what_it_remembers_is_enough_to_go_on():
    states, wanted = numbers(40, 6, seed=1), numbers(40, 3, seed=2)
    first = RunningRegression(6, 3, memory=20).begin(states[:30], wanted[:30], 0.1)
    second = RunningRegression(6, 3, memory=20)
    for name, tensor in second.tensors.items():
        tensor.copy_(first.tensors[name])
    for running in (first, second):
        running.add(states[30:], wanted[30:], Processes.current())
    assert torch.equal(first.solve(), second.solve())


def test_a_step_as_large_as_the_memory_leaves_nothing_of_what_was_before():
    states, wanted = numbers(40, 6, seed=1), numbers(40, 3, seed=2)
    running = RunningRegression(6, 3, memory=20).begin(states[:10], wanted[:10], 1e-9)
    running.add(states[10:], wanted[10:], Processes.current())
    torch.testing.assert_close(running.solve(), torch.linalg.lstsq(states[10:], wanted[10:]).solution.T)
