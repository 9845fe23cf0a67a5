"""What single parts of the loss promise beyond their formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.cosent import cosent
from slimvec.objectives.losses import over_rows
from slimvec.objectives.negative_mixing import mix, mix_lists, mix_pairs
from slimvec.objectives.score_distillation import kl_divergence, margin_mse
from slimvec.objectives.settings import Mixing
from slimvec.objectives.spread import mean_squared_products
from tests.objectives.support import leaves, make_batch, unit


def test_pairs_are_drawn_evenly_and_their_shares_by_beta_2_2():
    negatives = torch.eye(4, dtype=torch.float64).expand(3000, 4, 4)
    usable = torch.tensor([True, True, False, True]).expand(3000, 4)
    mixed = mix_pairs(negatives, usable, count=1, seed=1)[:, 0]
    counts = (mixed > 0).sum(0)
    assert counts[2] == 0
    assert bool(((counts[[0, 1, 3]] - 2000).abs() < 120).all())  # four standard deviations
    assert bool(((mixed > 0).sum(1) == 2).all())
    share = mixed[:, 0] / mixed.sum(1)
    share = share[mixed[:, 0] > 0]
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share.var()) == pytest.approx(1 / 20, abs=0.005)  # of Beta(2, 2)


def test_mixtures_depend_on_the_seed_alone():
    batch = make_batch(4, 3, 6, 1)
    torch.manual_seed(0)
    first = mix(batch, Mixing(kind="pair", count=2))
    state = torch.get_rng_state()
    second = mix(batch, Mixing(kind="pair", count=2))
    assert first.vectors.tolist() == second.vectors.tolist()
    assert torch.get_rng_state().tolist() == state.tolist()
    assert first.vectors.norm(dim=-1).flatten().tolist() == pytest.approx([1.0] * 8)
    other = mix_pairs(batch.negatives, batch.present, count=2, seed=99)
    assert first.vectors.tolist() != other.tolist()


def test_a_list_leans_to_the_hardest_as_its_temperature_falls():
    query, negatives = unit(3, 6, seed=1), unit(3, 4, 6, seed=2)
    usable = torch.ones(3, 4, dtype=torch.bool)
    hardest = negatives[torch.arange(3), (query[:, None] * negatives).sum(-1).argmax(1)]
    torch.testing.assert_close(mix_lists(query, negatives, usable, temperature=1e-4)[:, 0], hardest)
    even = F.normalize(negatives.mean(1), dim=-1)
    torch.testing.assert_close(mix_lists(query, negatives, usable, temperature=1e6)[:, 0], even, rtol=1e-4, atol=1e-4)


def test_known_answers_are_not_mixed_in_and_one_negative_is_not_enough():
    q, n = unit(2, 4, seed=1), unit(2, 3, 4, seed=2)
    ids = {"query_ids": torch.tensor([1, 2]), "positive_ids": torch.tensor([3, 4])}
    batch = EmbeddedBatch(q, q, n, negative_ids=torch.tensor([[3, 5, 6], [4, 2, 7]]), **ids)
    mixed = mix(batch, Mixing(kind="list", temperature=1e6))
    assert mixed.present.tolist() == [[True], [False]]
    torch.testing.assert_close(mixed.vectors[0, 0], F.normalize(n[0, 1:].mean(0), dim=-1), rtol=1e-4, atol=1e-4)
    unmasked = mix(batch, Mixing(kind="both"), mask_equal_texts=False)
    assert unmasked.present.tolist() == [[True, True], [True, True]]
    assert mix(make_batch(3, 0, 4, 1), Mixing()) is None
    assert mix(make_batch(3, 1, 4, 1), Mixing(kind="pair")) is None


def test_the_gradient_flows_through_mixtures_unless_it_is_stopped():
    for stop in (False, True):
        batch, _ = leaves(make_batch(3, 3, 6, 1))
        vectors = mix(batch, Mixing(kind="both", stop_gradient=stop)).vectors
        assert vectors.requires_grad is not stop


def test_spread_of_orthogonal_and_of_equal_vectors():
    assert mean_squared_products(torch.eye(4)).tolist() == [0.0] * 4
    assert mean_squared_products(torch.ones(3, 4) / 2).tolist() == [1.0] * 3
    assert mean_squared_products(torch.ones(1, 4) / 2).tolist() == [0.0]


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn():
    scores = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    present = torch.tensor([True, True, True, True, False]).expand(3, 5)
    shifted = scores + torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    positive = torch.tensor([0, 1, 2])
    assert kl_divergence(shifted, scores, present).tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    assert margin_mse(shifted, scores, present, positive).tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    assert kl_divergence(scores.flip(1), scores, present).min() > 0
    alone = torch.tensor([True, False, False, False, False]).expand(3, 5)
    assert margin_mse(scores.flip(1), scores, alone, positive * 0).tolist() == [0.0] * 3


def test_cosent_asks_for_the_order_of_the_grades_alone():
    grades = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    right, wrong = torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]], dtype=torch.float64)
    assert float(cosent(right, grades)) < 1e-8
    assert float(cosent(wrong, grades)) == pytest.approx(40.0, abs=1e-6)
    assert cosent(wrong, grades).tolist() == cosent(wrong, grades**3).tolist()
    same = right.clone().requires_grad_()
    loss = cosent(same, torch.ones(3, dtype=torch.float64))
    assert float(loss.detach()) == 0.0
    assert torch.autograd.grad(loss, same)[0].tolist() == [0.0, 0.0, 0.0]
    assert float(cosent(right[:2], grades[:2], scale=1.0)) == pytest.approx(math.log(1 + math.exp(-1)))


def test_blocks_hold_one_block_at_a_time():
    leaf = torch.ones(10, 3, requires_grad=True)
    sizes = []

    def function(rows):
        sizes.append(rows.stop - rows.start)
        return leaf[rows].square().sum(1)

    found = over_rows(function, slice(2, 9), width=5, block_elements=16)
    assert sizes == [3, 3, 1]
    found.sum().backward()
    assert sizes == [3, 3, 1, 1, 3, 3]  # once more each, on the way back
    assert leaf.grad.sum(1).tolist() == [0, 0] + [6] * 7 + [0]
    assert over_rows(function, slice(4, 4), width=5).tolist() == []
