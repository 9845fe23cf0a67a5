"""Batches and combinations of objectives that several tests go through."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.cosent import CoSENT
from slimvec.objectives.infonce import TERMS, InfoNCE
from slimvec.objectives.losses import LossConfig
from slimvec.objectives.negative_mixing import Mixing
from slimvec.objectives.score_distillation import ScoreDistillation
from slimvec.objectives.vector_distillation import VectorDistillation

TEACHER_DIMS = 7
PLAIN = InfoNCE(0.2)
FULL = InfoNCE(0.2, terms=TERMS, margin=0.5, focal=0.5, hardness=5.0)

COMBINATIONS = {
    "plain": LossConfig(PLAIN),
    "terms": LossConfig(replace(PLAIN, terms=TERMS, mask_equal_texts=False)),
    "masked": LossConfig(replace(FULL, hardness=0.0)),
    "hardness": LossConfig(replace(PLAIN, hardness=5.0)),
    "mix pair": LossConfig(PLAIN, mixing=Mixing("pair", count=2)),
    "mix list": LossConfig(replace(PLAIN, hardness=2.0), mixing=Mixing("list", temperature=0.3)),
    "mix both": LossConfig(FULL, mixing=Mixing("both", stop_gradient=True)),
    "spread": LossConfig(PLAIN, spread=0.7),
    "kl own": LossConfig(PLAIN, distillation=ScoreDistillation("kl", 0.2, 0.5, "own", 0.6)),
    "kl batch": LossConfig(None, distillation=ScoreDistillation("kl", 0.2, 0.1, "batch")),
    "margin own": LossConfig(PLAIN, 0.5, distillation=ScoreDistillation("margin-mse", 1.0, 3.0, "own")),
    "margin batch": LossConfig(PLAIN, distillation=ScoreDistillation("margin-mse", 0.5, 0.5, "batch", 2.0)),
    "cosine": LossConfig(PLAIN, distillation=VectorDistillation("cosine", 0.4)),
    "mse": LossConfig(None, distillation=VectorDistillation("mse")),
    "graded": LossConfig(PLAIN, graded=CoSENT(weight=0.3)),
    "widths": LossConfig(PLAIN, dims=(6, 3), dim_weights=(1.0, 0.3)),
    "all, scores": LossConfig(
        FULL,
        0.9,
        mixing=Mixing("both", count=2),
        spread=0.1,
        distillation=ScoreDistillation("kl", 0.2, 0.1, "batch", 0.5),
        graded=CoSENT(weight=0.3),
        dims=(6, 4, 2),
        dim_weights=(1.0, 0.3, 0.1),
    ),
    "all, vectors": LossConfig(
        FULL,
        mixing=Mixing("pair"),
        spread=0.1,
        distillation=VectorDistillation("cosine", 0.5),
        graded=CoSENT(scale=10, weight=0.3),
        dims=(6, 3),
    ),
}


def unit(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def make_batch(pairs, negatives, dims, seed, *, texts=1000, groups=0, graded=False, scored=False, teacher=False):
    """Random vectors of so many different texts and groups. `graded` and `scored` concern every other pair."""
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(0, texts, (pairs, 2 + negatives), generator=generator)
    mask = torch.rand(pairs, negatives, generator=generator) > 0.3 if negatives else None
    batch = EmbeddedBatch(
        query=unit(pairs, dims, seed=seed + 2),
        positive=unit(pairs, dims, seed=seed + 3),
        negatives=unit(pairs, negatives, dims, seed=seed + 4) if negatives else None,
        negative_mask=mask,
        query_ids=ids[:, 0],
        positive_ids=ids[:, 1],
        negative_ids=ids[:, 2:] if negatives else None,
        seed=seed,
    )
    if groups:
        drawn = torch.randint(-1, groups, (pairs, 1 + negatives), generator=generator)
        batch = replace(batch, group_ids=drawn[:, 0], negative_group_ids=drawn[:, 1:] if negatives else None)
    every_other = torch.arange(pairs) % 2 == 0
    if graded:
        grades = torch.randint(0, 4, (pairs,), generator=generator).double() / 3
        batch = replace(batch, grades=grades.masked_fill(~every_other, torch.nan))
    if scored:
        scores = torch.randn(pairs, 1 + negatives, generator=generator, dtype=torch.float64)
        if negatives:
            scores[:, 1:].masked_fill_(~mask, torch.nan)
        batch = replace(batch, scores=scores.masked_fill(every_other[:, None], torch.nan))
    if teacher:
        theirs = make_batch(pairs, negatives, TEACHER_DIMS, seed + 50)
        batch = replace(batch, teacher=EmbeddedBatch(theirs.query, theirs.positive, theirs.negatives))
    return batch


def batch_for(settings, *, pairs=5, negatives=3, dims=6, seed=0, texts=12, groups=3, **more):
    """A batch that has what the combination needs."""
    distils = settings.distillation
    own = isinstance(distils, ScoreDistillation) and distils.candidates == "own"
    needs = {
        "graded": settings.graded is not None,
        "scored": own,
        "teacher": distils is not None and not own,
    } | more
    return make_batch(pairs, negatives, dims, seed, texts=texts, groups=groups, **needs)


def projection_for(settings, dims=6):
    """W where the combination distils vectors."""
    if not isinstance(settings.distillation, VectorDistillation):
        return None
    return torch.randn(TEACHER_DIMS, dims, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def leaves(batch):
    """The same batch on vectors that collect gradients, and those vectors."""
    names = [name for name in ("query", "positive", "negatives") if getattr(batch, name) is not None]
    tensors = {name: getattr(batch, name).detach().clone().requires_grad_() for name in names}
    return replace(batch, **tensors), list(tensors.values())
