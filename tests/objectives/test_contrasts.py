"""Negatives that stay negatives however alike they look: what the losses make of `EmbeddedBatch.contrast_mask`."""

from dataclasses import replace

import pytest
import torch

from slimvec.objectives.batch import EmbeddedBatch, join_batches
from slimvec.objectives.infonce import info_nce
from slimvec.objectives.score_distillation import distil_scores
from slimvec.objectives.settings import InfoNCE, ScoreDistillation
from slimvec.objectives.vector_distillation import distil_vectors
from tests.objectives.support import make_batch, unit

MARGIN = InfoNCE(temperature=0.2, margin=0.1)


def alike_batch():
    """Pairs whose one negative is the query itself but for a little: what a reordered text is to a bag of words."""
    query, positive = unit(4, 6, seed=1), unit(4, 6, seed=2)
    negatives = torch.nn.functional.normalize(query[:, None] + 0.05 * unit(4, 1, 6, seed=3), dim=-1)
    return EmbeddedBatch(query, positive, negatives)


def test_the_margin_drops_what_is_too_alike_unless_it_is_a_contrast():
    batch = alike_batch()
    dropped = info_nce(batch, MARGIN)
    kept = info_nce(replace(batch, contrast_mask=torch.ones(4, 1, dtype=torch.bool)), MARGIN)
    assert bool((kept > dropped + 1).all())
    s = batch.query @ torch.cat([batch.positive, batch.negatives[:, 0]]).T
    for row in range(4):
        own = float(s[row, row])
        counts = [column for column in range(8) if column in (row, 4 + row) or float(s[row, column]) <= own + 0.1]
        wanted = torch.logsumexp(s[row, counts] / 0.2, dim=0) - own / 0.2
        assert float(kept[row]) == pytest.approx(float(wanted))


def test_a_contrast_of_another_query_is_subject_to_the_margin():
    batch = alike_batch()
    twin = batch.negatives.clone()
    twin[1] = batch.query[0]  # the contrast of query 1 is what query 0 asks
    batch = replace(batch, negatives=twin, contrast_mask=torch.tensor([[False], [True], [False], [False]]))
    without = replace(batch, contrast_mask=None)
    changed = info_nce(batch, MARGIN) != info_nce(without, MARGIN)
    assert changed.tolist() in ([False, True, False, False], [False, False, False, False])


def test_an_equal_text_is_no_contrast():
    ids = {"query_ids": torch.arange(4), "positive_ids": torch.arange(4, 8)}
    batch = replace(alike_batch(), contrast_mask=torch.ones(4, 1, dtype=torch.bool))
    told = replace(batch, **ids, negative_ids=torch.arange(8, 12)[:, None])
    same = replace(batch, **ids, negative_ids=torch.arange(4, 8)[:, None])
    assert bool((info_nce(told, MARGIN) > info_nce(same, MARGIN) + 1).all())


def test_without_a_margin_contrasts_are_hard_negatives_like_others():
    batch = make_batch(5, 3, 6, seed=4)
    marked = replace(batch, contrast_mask=batch.present)
    for settings in (InfoNCE(temperature=0.2), InfoNCE(temperature=0.2, hardness=5.0, focal=0.5)):
        assert info_nce(marked, settings).tolist() == info_nce(batch, settings).tolist()


def test_joined_batches_keep_their_contrasts():
    first, second = make_batch(2, 1, 6, seed=1), make_batch(3, 2, 6, seed=2)
    first, second = (replace(batch, seed=0) for batch in (first, second))
    assert join_batches([first, second], own=0).contrast_mask is None
    marked = replace(second, contrast_mask=torch.tensor([[False, True], [True, True], [False, False]]))
    joined = join_batches([first, marked], own=0)
    assert joined.contrast_mask.tolist() == [[False, False]] * 2 + [[False, True], [True, True], [False, False]]
    plain = join_batches([replace(second, negatives=None, negative_mask=None, negative_ids=None), marked], own=0)
    assert plain.contrast_mask.tolist()[:3] == [[False, False]] * 3


@pytest.mark.parametrize("kind", ["kl", "margin-mse"])
def test_a_teachers_scores_leave_contrasts_out(kind):
    settings = ScoreDistillation(kind, 0.2, 0.5, "own")
    batch = make_batch(6, 2, 6, seed=5, scored=True)
    widened = replace(
        batch,
        negatives=torch.cat([batch.negatives, unit(6, 1, 6, seed=9)], dim=1),
        negative_mask=torch.cat([batch.negative_mask, torch.ones(6, 1, dtype=torch.bool)], dim=1),
        negative_ids=torch.cat([batch.negative_ids, torch.arange(100, 106)[:, None]], dim=1),
        scores=torch.cat([batch.scores, torch.full((6, 1), torch.nan)], dim=1),
        contrast_mask=torch.tensor([[False, False, True]] * 6),
    )
    query = widened.query.requires_grad_()
    found = distil_scores(widened, settings)
    torch.testing.assert_close(found, distil_scores(batch, settings))
    found.sum().backward()
    assert bool(torch.isfinite(query.grad).all())


def blind_teacher(batch):
    """A teacher for whom a contrast, the last negative, is the positive itself."""
    theirs = unit(batch.pairs, 5, seed=21), unit(batch.pairs, 5, seed=22)
    mined = torch.cat([unit(batch.pairs, 1, 5, seed=23), theirs[1][:, None]], dim=1)
    return replace(batch, teacher=EmbeddedBatch(*theirs, mined))


@pytest.mark.parametrize("kind", ["kl", "margin-mse"])
@pytest.mark.parametrize("candidates", ["own", "batch"])
def test_a_teacher_s_vectors_judge_no_contrasts(kind, candidates):
    """One that takes a contrast for the positive would pull it to the query: the gradient in a contrast is zero."""
    settings = ScoreDistillation(kind, 0.05, 0.05, candidates)
    contrasts = torch.tensor([[False, True]] * 4)
    negatives = unit(4, 2, 6, seed=7).requires_grad_()
    batch = blind_teacher(EmbeddedBatch(unit(4, 6, seed=5), unit(4, 6, seed=6), negatives))
    for told, mask in ((batch, None), (replace(batch, contrast_mask=contrasts), contrasts)):
        distil_scores(told, settings).sum().backward()
        pulled = (negatives.grad.abs().sum(-1) > 0).tolist()
        assert pulled == ([[True, mask is None]] * 4)
        negatives.grad = None


@pytest.mark.parametrize("kind", ["cosine", "mse"])
def test_a_teacher_s_vectors_of_contrasts_are_not_learnt(kind):
    negatives = unit(4, 2, 5, seed=7).requires_grad_()
    batch = blind_teacher(EmbeddedBatch(unit(4, 5, seed=5), unit(4, 5, seed=6), negatives))
    marked = replace(batch, contrast_mask=torch.tensor([[False, True]] * 4))
    distil_vectors(marked, kind).sum().backward()
    assert (negatives.grad.abs().sum(-1) > 0).tolist() == [[True, False]] * 4
    without = replace(
        batch, negatives=negatives[:, :1], teacher=replace(batch.teacher, negatives=batch.teacher.negatives[:, :1])
    )
    torch.testing.assert_close(distil_vectors(marked, kind), distil_vectors(without, kind))


def test_a_mask_of_contrasts_without_negatives_is_refused():
    with pytest.raises(ValueError, match="a mask or ids of negatives, but no negatives"):
        EmbeddedBatch(unit(2, 3, seed=1), unit(2, 3, seed=2), contrast_mask=torch.ones(2, 1, dtype=torch.bool))
