"""Several losses as one: a weighted sum, at one width or over several (Matryoshka), whole or shared out by rows.

    L = sum over widths d of v_d sum over parts of weight * part(first d numbers of every vector)

A batch may hold pairs whose positive answers the query and graded pairs side by side. Contrastive loss and distillation
by scores are over the first kind, CoSENT over the second; the spread-out regulariser and distillation by vectors, which
ask for no relation, are over both.

Every part is a mean over rows, or a function of all of them. A process that answers for some rows (`EmbeddedBatch.own`)
gets its share, and the shares of all processes add up to L: loss and gradient.

Matryoshka representation learning (arXiv 2205.13147): the first d numbers of a vector are a vector too.

    loss = sum over d of weight_d * loss(first d numbers of every vector, scaled to unit length)

The sum is not divided by the weights' total, as published; KaLM-Embedding uses 896/512/256/128/64 with
weights 1/.3/.2/.1/.1.

A loss by rows in blocks of rows: the memory of one block of similarities, with the gradient of all.

2,048 pairs with 7 negatives have 2,048 x 16,384 similarities, and a loss keeps several tensors of that size for its
backward pass. In blocks, each computed again when its gradient is asked for, only one block exists at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.cosent import cosent
from slimvec.objectives.infonce import info_nce
from slimvec.objectives.negative_mixing import mix
from slimvec.objectives.score_distillation import distil_scores, scored_rows
from slimvec.objectives.settings import Loss, ScoreDistillation
from slimvec.objectives.spread import spread_out
from slimvec.objectives.vector_distillation import distil_vectors

BLOCK_ELEMENTS = 2**22
"""Similarities in a block: 16 MB in float32, and batches of a hundred pairs stay whole."""


def over_rows(
    function: Callable[[slice], Tensor], rows: slice, *, width: int, block_elements: int = BLOCK_ELEMENTS
) -> Tensor:
    """Apply a function of rows to rows, block by block.

    Args:
        function: Rows, n of them, to [n]. It must not draw anything: it may run twice.
        rows: All R of them, with a start and a stop.
        width: How many numbers a row has in its largest tensors.
        block_elements: Rows times width in a block, at most; a block has at least one row.

    Returns:
        [R].
    """
    size = max(1, block_elements // max(width, 1))
    if rows.stop - rows.start <= size:
        return function(rows)
    starts = range(rows.start, rows.stop, size)
    blocks = [slice(start, min(start + size, rows.stop)) for start in starts]
    parts = [checkpoint(function, block, use_reentrant=False, preserve_rng_state=False) for block in blocks]
    return torch.cat(parts)


def matryoshka(
    losses_of: Callable[[EmbeddedBatch], dict[str, Tensor]],
    batch: EmbeddedBatch,
    *,
    dims: Sequence[int],
    weights: Sequence[float] = (),
) -> dict[str, Tensor]:
    """Compute the formula above for each of several losses.

    Args:
        losses_of: Scalars by name, at one width.
        batch: Vectors of D numbers.
        dims: Widths, each at most D.
        weights: One for each width; default 1 for all.

    Returns:
        The sums, by name.

    Raises:
        ValueError: no width, a width above D, or as many weights as there are widths not given.
    """
    weights = weights or [1.0] * len(dims)
    if not dims or len(weights) != len(dims):
        raise ValueError(f"{len(dims)} dims and {len(weights)} weights")
    found = [losses_of(batch.truncated(width)) for width in dims]
    return {
        name: torch.stack([weight * losses[name] for weight, losses in zip(weights, found, strict=True)]).sum()
        for name in found[0]
    }


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


def compute_losses(
    batch: EmbeddedBatch, loss: Loss, *, projection: Tensor | None = None, block_elements: int = BLOCK_ELEMENTS
) -> Losses:
    """Compute the formula of the module.

    Args:
        batch: B pairs of unit vectors.
        loss: What is added up.
        projection: [E, D], W of the distillation by vectors.
        block_elements: See `slimvec.objectives.losses`.

    Returns:
        The share of the batch's own rows, with parts `contrastive`, `spread`, `distillation` and `graded`, as far as
        they are asked for.

    Raises:
        ValueError: the batch lacks what a part needs: widths, a teacher's vectors or scores.
    """
    at_width = partial(_parts, loss=loss, projection=projection, block_elements=block_elements)
    if loss.mrl_dims:
        parts = matryoshka(at_width, batch, dims=loss.mrl_dims, weights=loss.mrl_weights)
    else:
        parts = at_width(batch)
    weights = {
        "contrastive": loss.contrastive,
        "spread": loss.spread,
        "distillation": loss.distill.weight if loss.distill else 0.0,
        "graded": loss.graded.weight if loss.graded else 0.0,
    }
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Losses(total, {name: part.detach() for name, part in parts.items()})


def _parts(batch: EmbeddedBatch, loss: Loss, projection: Tensor | None, block_elements: int) -> dict[str, Tensor]:
    """Compute the parts at one width."""
    answered, graded = _by_kind(batch)
    parts: dict[str, Tensor] = {}
    if loss.contrastive:
        parts["contrastive"] = _contrastive(answered, loss, block_elements)
    if loss.spread:
        parts["spread"] = _mean(spread_out(batch, rows=batch.own_rows), batch.pairs)
    by_scores = loss.distill.by_scores(loss.temperature) if loss.distill else None
    if by_scores is not None:
        parts["distillation"] = _scores(answered, by_scores, block_elements)
    elif loss.distill is not None and (kind := loss.distill.by_vectors):
        rows = distil_vectors(batch, kind, projection=projection, rows=batch.own_rows)
        parts["distillation"] = _mean(rows, batch.pairs)
    if loss.graded is not None:
        parts["graded"] = _graded(graded, loss.graded.scale, block_elements)
    return parts


def _by_kind(batch: EmbeddedBatch) -> tuple[EmbeddedBatch, EmbeddedBatch]:
    """Part the pairs whose positive answers the query from the graded ones."""
    ungraded = torch.ones(batch.pairs, dtype=torch.bool, device=batch.query.device)
    if batch.grades is not None:
        ungraded = batch.grades.isnan()
    return batch.select(ungraded), batch.select(~ungraded)


def _contrastive(batch: EmbeddedBatch, loss: Loss, block_elements: int) -> Tensor:
    """Compute InfoNCE with its mixtures, which are drawn once for all rows."""
    if not batch.pairs:
        return batch.query.sum()
    mixtures = None
    if loss.mixing is not None:
        mixtures = mix(batch, loss.mixing, mask_equal_texts=loss.mask_equal_texts)
    rows = over_rows(
        lambda rows: info_nce(batch, loss, rows=rows, mixtures=mixtures),
        batch.own_rows,
        width=batch.pairs * (len(loss.terms) + batch.num_negatives),
        block_elements=block_elements,
    )
    return _mean(rows, batch.pairs)


def _scores(batch: EmbeddedBatch, distillation: ScoreDistillation, block_elements: int) -> Tensor:
    """Compute distillation by scores, over the pairs a teacher has judged."""
    if not batch.pairs:
        return batch.query.sum()
    rows = over_rows(
        lambda rows: distil_scores(batch, distillation, rows=rows),
        batch.own_rows,
        width=(1 + batch.num_negatives) * (batch.pairs if distillation.candidates == "batch" else 1),
        block_elements=block_elements,
    )
    return _mean(rows, int(scored_rows(batch).sum()))


def _graded(batch: EmbeddedBatch, scale: float, block_elements: int) -> Tensor:
    """Compute CoSENT. It is not a sum over rows: every process computes all of it and answers for its share."""
    if not batch.pairs:
        return batch.query.sum()
    assert batch.grades is not None
    cosines = (batch.query * batch.positive).sum(-1)
    rows, own = slice(0, batch.pairs), batch.own_rows
    loss = cosent(
        cosines,
        batch.grades.to(cosines),
        scale=scale,
        over_rows=lambda part: over_rows(part, rows, width=batch.pairs, block_elements=block_elements),
    )
    share: float = (own.stop - own.start) / batch.pairs
    return loss * share


def _mean(rows: Tensor, count: int) -> Tensor:
    """Add up own rows and divide by the number of all."""
    return rows.sum() / max(count, 1)
