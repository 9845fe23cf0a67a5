"""What is said of a step over pairs of vectors: losses, cosines and counts over all processes."""

from typing import Any

import torch

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import same_group
from slimvec.training.step.distributed import mean_over_processes
from slimvec.training.step.gradients import BatchGradient
from slimvec.training.step.processes import Processes
from slimvec.training.step.steps import Step


def describe_pairs(found: BatchGradient, batch: EmbeddedBatch, processes: Processes, **counts: Any) -> Step:
    """Describe a step over pairs.

    Args:
        found: Its losses.
        batch: The pairs of this process.
        processes: All of them.
        counts: Further fields of `Step`, over all processes.
    """
    losses = mean_over_processes(torch.stack([found.losses.total, *found.losses.parts.values()])).tolist()
    positive, random = _mean_cosines(batch, processes)
    return Step(
        loss=losses[0],
        losses=dict(zip(found.losses.parts, losses[1:], strict=True)),
        positive_cosine=positive,
        random_cosine=random,
        **counts,
    )


def describe_texts(
    found: BatchGradient, batch: EmbeddedBatch, processes: Processes, *, epoch: float, tokens: int
) -> Step:
    """Describe a step over pairs that were made of texts, of which nothing is cut off.

    Args:
        found: Its losses.
        batch: The pairs of this process.
        processes: All of them.
        epoch: Passes over the texts done after it.
        tokens: That this process took in.
    """
    hidden = torch.eye(batch.pairs, dtype=torch.bool, device=batch.query.device)
    if batch.group_ids is not None:
        own = same_group(batch.group_ids, batch.group_ids)
        if batch.places is not None and batch.horizons is not None:
            own &= batch.places[None, :] <= batch.horizons[:, None]
        hidden |= own
    pairs, left_out, taken = processes.add([batch.pairs, int(hidden.sum()), tokens])
    return describe_pairs(
        found,
        batch,
        processes,
        epoch=epoch,
        tokens=int(taken),
        truncated=0,
        pairs=int(pairs),
        negatives=int(pairs * pairs - left_out),
    )


def _mean_cosines(batch: EmbeddedBatch, processes: Processes) -> tuple[float, float]:
    """Give the mean cosine of the pairs, and of queries with the positives of others (0 for a single pair).

    The cosines of all queries with all positives add up to the product of the two sums.
    """
    matched = (batch.query * batch.positive).sum()[None]
    count = matched.new_tensor([batch.pairs])
    parts = torch.cat([matched, count, batch.query.sum(0), batch.positive.sum(0)]).double()
    totals = torch.tensor(processes.add(parts.tolist()), dtype=torch.float64)
    matched, count, (queries, positives) = totals[0], totals[1], totals[2:].chunk(2)
    others = (queries @ positives - matched) / (count * (count - 1)) if count > 1 else 0.0
    return float(matched / count), float(others)
