"""Every combination of objectives against plain loops in double precision: loss, parts and gradient."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.objectives.batch import EmbeddedBatch, join_batches
from slimvec.objectives.losses import compute_losses
from tests.objectives import reference, support


def value_and_grads(function, batch, projection):
    """Total, parts, and gradients in the vectors and the projection."""
    batch, tensors = support.leaves(batch)
    matrix = None if projection is None else projection.clone().requires_grad_()
    total, parts = function(batch, matrix)
    tensors = [*tensors, *([] if matrix is None else [matrix])]
    grads = torch.autograd.grad(total, tensors, allow_unused=True, materialize_grads=True)
    return float(total.detach()), {name: float(part) for name, part in parts.items()}, grads


def compare(found, wanted):
    assert found[0] == pytest.approx(wanted[0], rel=1e-9, abs=1e-12)
    assert found[1] == pytest.approx(wanted[1], rel=1e-9, abs=1e-12)
    for mine, theirs in zip(found[2], wanted[2], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-10)


def computed(settings, **more):
    def function(batch, matrix):
        losses = compute_losses(batch, settings, projection=matrix, **more)
        return losses.total, losses.parts

    return function


def wanted_of(settings, batch, projection):
    return value_and_grads(lambda b, m: reference.losses(b, settings, m), batch, projection)


@pytest.mark.parametrize("name", support.COMBINATIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_plain_loops_in_value_and_gradient(name, seed):
    settings = support.COMBINATIONS[name]
    batch, projection = support.batch_for(settings, seed=seed), support.projection_for(settings)
    wanted = wanted_of(settings, batch, projection)
    compare(value_and_grads(computed(settings), batch, projection), wanted)
    for elements in (1, 40):  # one row a block, and blocks that do not divide the rows
        compare(value_and_grads(computed(settings, block_elements=elements), batch, projection), wanted)


@given(
    pairs=st.integers(1, 5),
    negatives=st.integers(0, 3),
    texts=st.sampled_from([3, 1000]),
    graded=st.booleans(),
    name=st.sampled_from(["all, scores", "all, vectors", "kl own", "margin batch"]),
    seed=st.integers(0, 1000),
)
def test_any_shape(pairs, negatives, texts, graded, name, seed):
    settings = support.COMBINATIONS[name]
    more = {"pairs": pairs, "negatives": negatives, "texts": texts, "graded": graded, "seed": seed}
    batch, projection = support.batch_for(settings, **more), support.projection_for(settings)
    losses = compute_losses(batch, settings, projection=projection)
    total, parts = reference.losses(batch, settings, projection)
    assert float(losses.total) == pytest.approx(float(total), rel=1e-9, abs=1e-12)
    assert {n: float(p) for n, p in losses.parts.items()} == pytest.approx(parts)


@pytest.mark.parametrize("name", support.COMBINATIONS)
def test_shares_of_processes_add_up(name):
    settings = support.COMBINATIONS[name]
    whole, projection = support.batch_for(settings, pairs=6), support.projection_for(settings)

    def shared(batch, matrix):
        shares = [
            compute_losses(replace(batch, own=own), settings, projection=matrix) for own in [(0, 2), (2, 2), (2, 6)]
        ]
        return sum(s.total for s in shares), {n: sum(s.parts[n] for s in shares) for n in shares[0].parts}

    compare(value_and_grads(shared, whole, projection), value_and_grads(computed(settings), whole, projection))


def test_parts_before_their_weights():
    settings = support.COMBINATIONS["all, scores"]
    losses = compute_losses(support.batch_for(settings), settings)
    assert list(losses.parts) == ["contrastive", "spread", "distillation", "graded"]
    weights = (0.9, 0.1, 0.5, 0.3)
    summed = sum(w * float(p) for w, p in zip(weights, losses.parts.values(), strict=True))
    assert float(losses.total) == pytest.approx(summed)
    assert float(losses.scaled(2).total) == pytest.approx(2 * summed)


def test_a_batch_of_one_kind_has_no_part_of_the_other():
    settings = support.COMBINATIONS["graded"]
    pairs = support.make_batch(4, 2, 6, 3)
    graded = replace(pairs, grades=torch.tensor([0.1, 0.9, 0.5, 0.5], dtype=torch.float64))
    for batch, empty in ((pairs, "graded"), (graded, "contrastive")):
        moved, tensors = support.leaves(batch)
        losses = compute_losses(moved, settings)
        assert float(losses.parts[empty]) == 0.0
        assert all(
            bool(torch.isfinite(s).all())
            for s in torch.autograd.grad(losses.total, tensors, allow_unused=True)
            if s is not None
        )


def test_what_a_part_needs_must_be_there():
    batch = support.make_batch(3, 2, 6, 1, scored=True)
    vectors = support.loss_of(distill=support.taught("mse"))
    with pytest.raises(ValueError, match="distillation by vectors of a batch without a teacher's"):
        compute_losses(batch, vectors)
    scores = support.loss_of(distill=support.taught("kl", 1, 1, "batch"))
    with pytest.raises(ValueError, match="over batch candidates of a batch without a teacher's vectors"):
        compute_losses(batch, scores)
    taught = support.batch_for(vectors)
    with pytest.raises(ValueError, match=r"a projection \(3, 6\) for vectors of 6 to 7 dims"):
        compute_losses(taught, vectors, projection=torch.zeros(3, 6))


def test_batches_are_joined_whatever_their_negatives():
    parts = [support.make_batch(2, k, 4, seed) for k, seed in ((0, 1), (3, 2), (1, 3))]
    parts = [replace(part, seed=0) for part in parts]
    ids = {"group_ids": torch.tensor([5, 6]), "negative_group_ids": torch.tensor([[6, -1, -1], [-1, -1, 7]])}
    parts[1] = replace(parts[1], grades=torch.tensor([0.5, math.nan]), **ids)
    joined = join_batches(parts, own=1)
    assert joined.own == (2, 4)
    assert joined.negatives.shape == (6, 3, 4)
    assert joined.present.sum(1).tolist() == [
        0,
        0,
        *parts[1].present.sum(1).tolist(),
        *parts[2].present.sum(1).tolist(),
    ]
    assert joined.grades.isnan().tolist() == [True, True, False, True, True, True]
    assert bool(joined.scores.isnan().all())
    assert joined.query.tolist() == [row for part in parts for row in part.query.tolist()]
    assert joined.group_ids.tolist() == [-1, -1, 5, 6, -1, -1]
    assert joined.negative_group_ids[2:4].tolist() == ids["negative_group_ids"].tolist()
    assert bool((joined.negative_group_ids[[0, 1, 4, 5]] == -1).all())
    assert joined.negative_ids[2:4].tolist() == parts[1].negative_ids.tolist()


def test_joined_batches_know_the_answers_of_each():
    parts = [replace(support.make_batch(2, 0, 4, seed), seed=0) for seed in (1, 2)]
    known = torch.cat([parts[1].positive_ids[:, None], torch.tensor([[77], [78]])], dim=1)
    assert join_batches(parts, own=0).answer_ids is None
    joined = join_batches([parts[0], replace(parts[1], answer_ids=known)], own=0)
    assert joined.answer_ids.tolist() == [*([number] * 2 for number in parts[0].positive_ids.tolist()), *known.tolist()]


def test_batches_that_do_not_go_together():
    first, second = support.make_batch(2, 1, 4, 1), support.make_batch(2, 1, 4, 2)
    with pytest.raises(ValueError, match=r"seeds \[1, 2\]"):
        join_batches([first, second], own=0)
    second = EmbeddedBatch(second.query, second.positive, seed=1)
    with pytest.raises(ValueError, match="query_ids of some batches but not of others"):
        join_batches([first, second], own=0)
