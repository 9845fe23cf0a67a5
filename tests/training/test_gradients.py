"""The gradient of a batch is the same in one piece, in several, and with the second run of the gradient cache."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slimvec.training.step.gradients import RandomState, backward
from slimvec.training.step.objective import make_objective
from tests.objectives import reference
from tests.training import combined, support


def gradients(made, recipe, *, micro_batch_tokens, graph_tokens):
    objective = make_objective(recipe.loss)
    texts = support.collator(made, recipe)(support.records(10), epoch=0)
    torch.manual_seed(5)
    made.train()
    made.zero_grad()
    found = backward(
        made,
        texts.tokenized,
        lambda vectors: objective(texts.assemble(vectors)),
        micro_batch_tokens=micro_batch_tokens,
        graph_tokens=graph_tokens,
    )
    grads = {name: p.grad for name, p in made.named_parameters() if p.requires_grad}
    return found.losses.total, found.vectors, grads


def plain_gradients(made, recipe):
    """One text at a time, one graph, autograd alone."""
    objective = make_objective(recipe.loss)
    texts = support.collator(made, recipe)(support.records(10), epoch=0)
    made.zero_grad()
    vectors = torch.cat([made(texts.tokenized.pack([i])) for i in range(len(texts.tokenized.sequences))])
    loss = objective(texts.assemble(vectors)).total
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in made.named_parameters() if p.requires_grad}


LOSSES = [
    [],
    ["loss.terms=[q-d, q-q, d-d, d-q]", "loss.margin=0.1"],
    ["loss.mrl_dims=[32, 8]", "loss.mrl_weights=[1, 0.3]", "loss.focal=0.5"],
]


@pytest.mark.parametrize("overrides", LOSSES)
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(("architecture", "mode"), [("llama", "causal"), ("qwen2", "bidirectional")])
def test_equal_to_autograd_one_text_at_a_time(overrides, method, architecture, mode):
    tuning = ["tuning={method: full}"] if method == "full" else []
    recipe = support.recipe(*overrides, *tuning)
    made = support.model(recipe, architecture, mode)
    wanted_loss, wanted = plain_gradients(made, recipe)
    for graph_tokens in (0, 100_000):
        for micro_batch_tokens in (1, 150, 100_000):
            loss, _, found = gradients(made, recipe, micro_batch_tokens=micro_batch_tokens, graph_tokens=graph_tokens)
            torch.testing.assert_close(loss, wanted_loss)
            for name, gradient in wanted.items():
                torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", combined.NAMES)
def test_every_combination_of_objectives_equals_the_reference(name):
    plain = combined.Step(name)
    settings, projection = plain.objective.loss, plain.objective.projection
    wanted = plain.run_plain(lambda batch: reference.losses(batch, settings, projection)[0])
    for micro_batch_tokens, graph_tokens in ((1, 0), (40, 0), (40, 10_000), (10_000, 0)):
        torch.manual_seed(micro_batch_tokens)  # the loss must not look at it
        step = combined.Step(name)
        losses = step.run(micro_batch_tokens=micro_batch_tokens, graph_tokens=graph_tokens)
        assert float(losses.total) == pytest.approx(float(wanted), rel=1e-10)
        combined.compare(step.gradients(), plain.gradients())


@pytest.mark.parametrize("name", ["mixing", "all, scores"])
def test_what_is_drawn_changes_with_the_step_alone(name):
    losses = []
    for seed in (7, 7, 8):
        torch.manual_seed(len(losses))
        losses.append(float(combined.Step(name, seed=seed).run(micro_batch_tokens=40, graph_tokens=0).total))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@settings(max_examples=8)
@given(micro_batch_tokens=st.integers(1, 600))
def test_the_second_run_has_the_dropout_of_the_first(micro_batch_tokens):
    recipe = support.recipe("tuning={method: lora, rank: 4, dropout: 0.5}")
    made = support.model(recipe)
    kept = gradients(made, recipe, micro_batch_tokens=micro_batch_tokens, graph_tokens=100_000)
    cached = gradients(made, recipe, micro_batch_tokens=micro_batch_tokens, graph_tokens=0)
    torch.testing.assert_close(cached[1], kept[1], rtol=0, atol=0)
    for name in kept[2]:
        torch.testing.assert_close(cached[2][name], kept[2][name], rtol=0, atol=0)


def test_an_encoder_keeps_its_own_dropout_in_the_second_run():
    recipe = support.recipe("tuning={method: full}")
    made = support.model(recipe, "bert", "bidirectional")
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):  # as published encoders have it, on states and on attention
            module.p = 0.1
    kept = gradients(made, recipe, micro_batch_tokens=60, graph_tokens=100_000)
    cached = gradients(made, recipe, micro_batch_tokens=60, graph_tokens=0)
    torch.testing.assert_close(cached[1], kept[1], rtol=0, atol=0)
    assert kept[2]
    for name in kept[2]:
        torch.testing.assert_close(cached[2][name], kept[2][name], rtol=0, atol=0)
    assert float((gradients(made, recipe, micro_batch_tokens=1, graph_tokens=0)[1] - kept[1]).abs().max()) > 0.01


def test_dropout_differs_from_piece_to_piece():
    recipe = support.recipe("tuning={method: lora, rank: 4, dropout: 0.5}")
    made = support.model(recipe)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    first = gradients(made, recipe, micro_batch_tokens=1, graph_tokens=0)[1]
    made.eval()
    texts = support.collator(made, recipe)(support.records(10), epoch=0)
    with torch.no_grad():
        plain = made(texts.tokenized.pack())
    assert float((first - plain).abs().max()) > 0.01


def test_random_state_comes_back():
    state = RandomState.now()
    wanted = torch.rand(3)
    state.restore()
    assert torch.rand(3).tolist() == wanted.tolist()
