"""Learning rate and length of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.training.recipe import Optim, Run
from slimvec.training.run.schedule import Done, Length, Span, learning_rate, run_length


def rates(total, **settings):
    length = Length(total, "steps")
    spans = [length.span(Done(step, 0, 0), Done(step + 1, 0, 0)) for step in range(total)]
    return [learning_rate(Optim(lr=1.0, **settings), span) for span in spans]


def test_linear_rises_and_falls():
    assert rates(10, warmup=0.2) == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def test_without_warmup_it_begins_at_the_top():
    assert rates(4, warmup=0) == pytest.approx([1, 0.75, 0.5, 0.25])


def test_cosine_and_constant():
    assert rates(4, warmup=0, decay="cosine") == pytest.approx([1, 0.8535534, 0.5, 0.1464466])
    assert rates(4, warmup=0.5, decay="constant") == pytest.approx([0.5, 1, 1, 1])


@given(
    total=st.integers(1, 200),
    warmup=st.floats(0, 0.9),
    decay=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_never_zero_never_above_and_one_top(total, warmup, decay):
    found = rates(total, warmup=warmup, decay=decay)
    assert all(0 < rate <= 1 for rate in found)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_zero_at_the_end(decay):
    assert learning_rate(Optim(lr=1.0, decay=decay), Span(1.0, 1.0)) == pytest.approx(0, abs=1e-12)


def test_a_run_in_time_stops_before_a_step_that_does_not_fit():
    length = Length(10.0, "seconds")
    assert not length.is_over(Done(0, 0.0, 0), 99.0)
    assert not length.is_over(Done(3, 7.0, 9), 3.0)
    assert length.is_over(Done(3, 7.5, 9), 3.0)
    assert length.span(Done(3, 7.5, 9), Done(4, 12.0, 12)) == Span(0.75, 1.0)
    assert length.seconds_left(Done(3, 7.5, 9), 3.0) == 2.5


def test_a_run_in_steps():
    length = Length(4, "steps")
    assert not length.is_over(Done(3, 1e9, 0), 1.0)
    assert length.is_over(Done(4, 0.0, 0), 1.0)
    assert length.seconds_left(Done(1, 5.0, 0), 2.0) == 6.0


def test_a_run_in_tokens_ends_with_the_step_that_brings_it_there():
    length = Length(100, "tokens")
    assert not length.is_over(Done(9, 1e9, 99), 1.0)
    assert length.is_over(Done(3, 0.0, 100), 1.0)
    assert length.span(Done(3, 0.0, 60), Done(4, 0.0, 120)) == Span(0.6, 1.0)
    assert length.seconds_left(Done(0, 0.0, 0), 0.0) == 0.0
    assert length.seconds_left(Done(2, 6.0, 40), 3.0) == 9.0
    assert not length.exceeded(1e9)


def test_the_length_a_recipe_asks_for():
    assert run_length(Run(steps=3), lambda epochs: 7 * epochs) == Length(3, "steps")
    assert run_length(Run(epochs=2), lambda epochs: 7 * epochs) == Length(14, "steps")
    assert run_length(Run(tokens=50), lambda epochs: 7 * epochs) == Length(50, "tokens")
    assert run_length(Run(max_minutes=2), lambda epochs: 7 * epochs) == Length(120, "seconds")
