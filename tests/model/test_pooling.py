"""Pooling on packed states against a plain loop, and the family that holds mean, weighted and last."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slimvec.model.pooling import pool, token_weights
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from tests.tiny import random_batch

POOLINGS = [
    Pooling(mode="mean"),
    Pooling(mode="weighted"),
    Pooling(mode="last"),
    Pooling(mode="cls"),
    Pooling(mode="beta", beta=0.5),
    Pooling(mode="beta", beta=7.0),
    Pooling(mode="mean", include_prompt=False),
    Pooling(mode="weighted", include_prompt=False),
    Pooling(mode="beta", beta=2.5, include_prompt=False),
]


@st.composite
def batches(draw):
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    prefixes = [draw(st.integers(0, n - 1)) for n in lengths]
    return random_batch(lengths, seed=draw(st.integers(0, 99)), prefixes=prefixes)


def states_of(batch: PackedBatch) -> torch.Tensor:
    return torch.randn(batch.num_tokens, 6, generator=torch.Generator().manual_seed(batch.num_tokens))


def slow_pool(states: torch.Tensor, batch: PackedBatch, pooling: Pooling) -> torch.Tensor:
    """One text at a time, weights by the recursion w_{t+1} = w_t (1 + b / t) in double precision."""
    vectors = []
    for text, prefix in zip(torch.split(states.double(), list(batch.lengths)), batch.prefix_lengths, strict=True):
        beta = {"mean": 0.0, "weighted": 1.0}.get(pooling.mode, pooling.beta)
        if pooling.mode == "last":
            weights = [0.0] * (len(text) - 1) + [1.0]
        elif pooling.mode == "cls":
            weights = [1.0] + [0.0] * (len(text) - 1)
        else:
            weights = [1.0]
            for t in range(1, len(text)):
                weights.append(weights[-1] * (1 + beta / t))
            if not pooling.include_prompt:
                weights = [0.0 if t < prefix else w for t, w in enumerate(weights)]
        weight = torch.tensor(weights, dtype=torch.float64)
        vectors.append((text * weight[:, None]).sum(0) / weight.sum())
    return torch.stack(vectors).float()


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
@given(batch=batches())
def test_pooling_equals_the_slow_loop(pooling, batch):
    states = states_of(batch)
    torch.testing.assert_close(pool(states, batch, pooling), slow_pool(states, batch, pooling), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("beta", "same"),
    [(0.0, "mean"), (1.0, "weighted"), (math.inf, "last"), (1e8, "last")],
)
@given(batch=batches())
def test_the_family_holds_the_standard_modes(beta, same, batch):
    states = states_of(batch)
    family = pool(states, batch, Pooling(mode="beta", beta=beta))
    torch.testing.assert_close(family, pool(states, batch, Pooling(mode=same)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 1.0, 3.7, 500.0])
@given(batch=batches())
def test_weights_of_a_text_sum_to_one(beta, batch):
    weights = token_weights(batch, Pooling(mode="beta", beta=beta))
    assert (weights >= 0).all()
    for text in torch.split(weights, list(batch.lengths)):
        assert text.sum().item() == pytest.approx(1, abs=1e-5)


@given(batch=batches())
def test_bfloat16_states_are_summed_in_float32(batch):
    states = states_of(batch).bfloat16()
    assert pool(states, batch, Pooling()).dtype == torch.float32
    torch.testing.assert_close(
        pool(states, batch, Pooling()), slow_pool(states, batch, Pooling()), atol=1e-6, rtol=1e-6
    )


def test_the_name_that_other_readers_know():
    assert Pooling(mode="beta", beta=0).standard_mode() == "mean"
    assert Pooling(mode="beta", beta=1).standard_mode() == "weighted"
    assert Pooling(mode="beta", beta=math.inf).standard_mode() == "last"
    assert Pooling(mode="beta", beta=2).standard_mode() == "beta"


@pytest.mark.parametrize("wrong", [{"mode": "mean", "beta": 1.0}, {"mode": "beta"}, {"mode": "beta", "beta": -1.0}])
def test_contradictions_are_refused(wrong):
    with pytest.raises(ValidationError, match="beta"):
        Pooling(**wrong)


def test_infinite_beta_survives_json():
    pooling = Pooling(mode="beta", beta=math.inf)
    assert Pooling.model_validate_json(pooling.model_dump_json()) == pooling
