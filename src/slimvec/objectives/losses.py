"""Several losses as one: a weighted sum, at one width or over several (Matryoshka), whole or shared out by rows.

    L = sum over widths d of v_d sum over parts of weight * part(first d numbers of every vector)

A batch may hold pairs whose positive answers the query and graded pairs side by side. Contrastive loss and distillation
by scores are over the first kind, CoSENT over the second; the spread-out regulariser and distillation by vectors, which
ask for no relation, are over both.

Every part is a mean over rows, or a function of all of them. A process that answers for some rows (`EmbeddedBatch.own`)
gets its share, and the shares of all processes add up to L: loss and gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.blocks import BLOCK_ELEMENTS, over_rows
from slimvec.objectives.cosent import CoSENT, cosent
from slimvec.objectives.infonce import InfoNCE, info_nce
from slimvec.objectives.matryoshka import matryoshka
from slimvec.objectives.negative_mixing import Mixing, mix
from slimvec.objectives.score_distillation import ScoreDistillation, distil_scores, scored_rows
from slimvec.objectives.spread import spread_out
from slimvec.objectives.vector_distillation import VectorDistillation, distil_vectors


@dataclass(frozen=True)
class LossConfig:
    """What is added up.

    Attributes:
        contrastive: InfoNCE; None for none.
        contrastive_weight: Weight of InfoNCE in the sum.
        mixing: Further negatives for InfoNCE.
        spread: Weight of the spread-out regulariser, 0 for none.
        distillation: By scores or by vectors.
        graded: For graded pairs; None takes none.
        dims: Widths, empty for the full one.
        dim_weights: v_d, empty for 1 each.
        block_elements: See `slimvec.objectives.blocks`.
    """

    contrastive: InfoNCE | None
    contrastive_weight: float = 1.0
    mixing: Mixing | None = None
    spread: float = 0.0
    distillation: ScoreDistillation | VectorDistillation | None = None
    graded: CoSENT | None = None
    dims: tuple[int, ...] = ()
    dim_weights: tuple[float, ...] = ()
    block_elements: int = BLOCK_ELEMENTS


@dataclass(frozen=True, eq=False)
class Losses:
    """A loss and what it is made of.

    Attributes:
        total: Scalar, differentiable.
        parts: The parts by name, without graph, before their weights in the sum; summed over widths with v_d.
    """

    total: Tensor
    parts: dict[str, Tensor]

    def scaled(self, factor: float) -> "Losses":
        """Multiply all by a number."""
        return Losses(factor * self.total, {name: factor * part for name, part in self.parts.items()})


Objective = Callable[[EmbeddedBatch], Losses]
"""A loss: batch to scalar, differentiable in the vectors."""


def compute_losses(batch: EmbeddedBatch, settings: LossConfig, *, projection: Tensor | None = None) -> Losses:
    """Compute the formula of the module.

    Args:
        batch: B pairs of unit vectors.
        settings: What is added up.
        projection: [E, D], W of the distillation by vectors.

    Returns:
        The share of the batch's own rows, with parts `contrastive`, `spread`, `distillation` and `graded`, as far as
        they are asked for.

    Raises:
        ValueError: the batch lacks what a part needs: widths, a teacher's vectors or scores.
    """
    at_width = partial(_parts, settings=settings, projection=projection)
    if settings.dims:
        parts = matryoshka(at_width, batch, dims=settings.dims, weights=settings.dim_weights)
    else:
        parts = at_width(batch)
    weights = {
        "contrastive": settings.contrastive_weight,
        "spread": settings.spread,
        "distillation": settings.distillation.weight if settings.distillation else 0.0,
        "graded": settings.graded.weight if settings.graded else 0.0,
    }
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Losses(total, {name: part.detach() for name, part in parts.items()})


def _parts(batch: EmbeddedBatch, settings: LossConfig, projection: Tensor | None) -> dict[str, Tensor]:
    """Compute the parts at one width."""
    answered, graded = _by_kind(batch)
    parts: dict[str, Tensor] = {}
    if settings.contrastive is not None:
        parts["contrastive"] = _contrastive(answered, settings.contrastive, settings)
    if settings.spread:
        parts["spread"] = _mean(spread_out(batch, rows=batch.own_rows), batch.pairs)
    if isinstance(settings.distillation, ScoreDistillation):
        parts["distillation"] = _scores(answered, settings.distillation, settings.block_elements)
    elif settings.distillation is not None:
        loss = distil_vectors(batch, settings.distillation.kind, projection=projection, rows=batch.own_rows)
        parts["distillation"] = _mean(loss, batch.pairs)
    if settings.graded is not None:
        parts["graded"] = _graded(graded, settings.graded, settings.block_elements)
    return parts


def _by_kind(batch: EmbeddedBatch) -> tuple[EmbeddedBatch, EmbeddedBatch]:
    """Part the pairs whose positive answers the query from the graded ones."""
    ungraded = torch.ones(batch.pairs, dtype=torch.bool, device=batch.query.device)
    if batch.grades is not None:
        ungraded = batch.grades.isnan()
    return batch.select(ungraded), batch.select(~ungraded)


def _contrastive(batch: EmbeddedBatch, info: InfoNCE, settings: LossConfig) -> Tensor:
    """Compute InfoNCE with its mixtures, which are drawn once for all rows."""
    if not batch.pairs:
        return batch.query.sum()
    mixtures = None
    if settings.mixing is not None:
        mixtures = mix(batch, settings.mixing, mask_equal_texts=info.mask_equal_texts)
    rows = over_rows(
        lambda rows: info_nce(batch, info, rows=rows, mixtures=mixtures),
        batch.own_rows,
        width=info.width(batch),
        block_elements=settings.block_elements,
    )
    return _mean(rows, batch.pairs)


def _scores(batch: EmbeddedBatch, distillation: ScoreDistillation, block_elements: int) -> Tensor:
    """Compute distillation by scores, over the pairs a teacher has judged."""
    if not batch.pairs:
        return batch.query.sum()
    rows = over_rows(
        lambda rows: distil_scores(batch, distillation, rows=rows),
        batch.own_rows,
        width=distillation.width(batch),
        block_elements=block_elements,
    )
    return _mean(rows, int(scored_rows(batch).sum()))


def _graded(batch: EmbeddedBatch, settings: CoSENT, block_elements: int) -> Tensor:
    """Compute CoSENT. It is not a sum over rows: every process computes all of it and answers for its share."""
    if not batch.pairs:
        return batch.query.sum()
    assert batch.grades is not None
    cosines = (batch.query * batch.positive).sum(-1)
    rows, own = slice(0, batch.pairs), batch.own_rows
    loss = cosent(
        cosines,
        batch.grades.to(cosines),
        scale=settings.scale,
        over_rows=lambda part: over_rows(part, rows, width=batch.pairs, block_elements=block_elements),
    )
    share: float = (own.stop - own.start) / batch.pairs
    return loss * share


def _mean(rows: Tensor, count: int) -> Tensor:
    """Add up own rows and divide by the number of all."""
    return rows.sum() / max(count, 1)
