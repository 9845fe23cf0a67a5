"""Batches and combinations of objectives that several tests go through."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.settings import TERMS, CoSENT, Distillation, InfoNCE, Loss, Mixing

TEACHER_DIMS = 7
PLAIN = InfoNCE(temperature=0.2)
FULL = InfoNCE(temperature=0.2, terms=TERMS, margin=0.5, focal=0.5, hardness=5.0)


def loss_of(info=None, **more):
    """InfoNCE with what is around it, or without it."""
    return Loss(**({"contrastive": 0} if info is None else info.model_dump()), **more)


def taught(kind, temperature=None, teacher_temperature=None, candidates=None, weight=1.0):
    given = {"temperature": temperature, "teacher_temperature": teacher_temperature, "candidates": candidates}
    return Distillation(teacher="a model", kind=kind, weight=weight, **given)


def changed(info, **changes):
    return info.model_copy(update=changes)


COMBINATIONS = {
    "plain": loss_of(PLAIN),
    "terms": loss_of(changed(PLAIN, terms=TERMS, mask_equal_texts=False)),
    "masked": loss_of(changed(FULL, hardness=0.0)),
    "hardness": loss_of(changed(PLAIN, hardness=5.0)),
    "mix pair": loss_of(PLAIN, mixing=Mixing(kind="pair", count=2)),
    "mix list": loss_of(changed(PLAIN, hardness=2.0), mixing=Mixing(kind="list", temperature=0.3)),
    "mix both": loss_of(FULL, mixing=Mixing(kind="both", stop_gradient=True)),
    "spread": loss_of(PLAIN, spread=0.7),
    "kl own": loss_of(PLAIN, distill=taught("kl", 0.2, 0.5, "own", 0.6)),
    "kl batch": loss_of(distill=taught("kl", 0.2, 0.1, "batch")),
    "margin own": loss_of(PLAIN, contrastive=0.5, distill=taught("margin-mse", 1.0, 3.0, "own")),
    "margin batch": loss_of(PLAIN, distill=taught("margin-mse", 0.5, 0.5, "batch", 2.0)),
    "cosine": loss_of(PLAIN, distill=taught("cosine", weight=0.4)),
    "mse": loss_of(distill=taught("mse")),
    "graded": loss_of(PLAIN, graded=CoSENT(weight=0.3)),
    "widths": loss_of(PLAIN, mrl_dims=(6, 3), mrl_weights=(1.0, 0.3)),
    "all, scores": loss_of(
        FULL,
        contrastive=0.9,
        mixing=Mixing(kind="both", count=2),
        spread=0.1,
        distill=taught("kl", 0.2, 0.1, "batch", 0.5),
        graded=CoSENT(weight=0.3),
        mrl_dims=(6, 4, 2),
        mrl_weights=(1.0, 0.3, 0.1),
    ),
    "all, vectors": loss_of(
        FULL,
        mixing=Mixing(kind="pair"),
        spread=0.1,
        distill=taught("cosine", weight=0.5),
        graded=CoSENT(scale=10, weight=0.3),
        mrl_dims=(6, 3),
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
    distils = settings.distill
    own = distils is not None and distils.candidates == "own"
    needs = {
        "graded": settings.graded is not None,
        "scored": own,
        "teacher": distils is not None and not own,
    } | more
    return make_batch(pairs, negatives, dims, seed, texts=texts, groups=groups, **needs)


def projection_for(settings, dims=6):
    """W where the combination distils vectors."""
    if settings.distill is None or not settings.distill.by_vectors:
        return None
    return torch.randn(TEACHER_DIMS, dims, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def leaves(batch):
    """The same batch on vectors that collect gradients, and those vectors."""
    names = [name for name in ("query", "positive", "negatives") if getattr(batch, name) is not None]
    tensors = {name: getattr(batch, name).detach().clone().requires_grad_() for name in names}
    return replace(batch, **tensors), list(tensors.values())
