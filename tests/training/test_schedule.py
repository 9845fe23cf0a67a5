"""Learning rate and length of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.training.recipe import Optim
from slimvec.training.schedule import Span, StepLength, TimeLength, learning_rate


def rates(total, **settings):
    length = StepLength(total)
    return [learning_rate(Optim(lr=1.0, **settings), length.span(step, 0, 0)) for step in range(total)]


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
    length = TimeLength(10.0)
    assert not length.is_over(0, 0.0, 99.0)
    assert not length.is_over(3, 7.0, 3.0)
    assert length.is_over(3, 7.5, 3.0)
    assert length.span(3, 7.5, 12.0) == Span(0.75, 1.0)
    assert length.seconds_left(3, 7.5, 3.0) == 2.5


def test_a_run_in_steps():
    length = StepLength(4)
    assert not length.is_over(3, 1e9, 1.0)
    assert length.is_over(4, 0.0, 1.0)
    assert length.seconds_left(1, 5.0, 2.0) == 6.0
