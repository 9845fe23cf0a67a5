"""The loss of a batch that is shared out over processes: every vector meets every other, and the gradient is exact.

Each process embeds its own texts, all vectors are gathered, and each process adds up the loss of its own rows against
all candidates. Losses and gradients are scaled so that their mean over the processes, which is what DDP and FSDP take,
is that of one process with the whole batch:

    L = (1/P) sum over processes r of  P * (share of r),    dL/dw = (1/P) sum over r of  d(P * sum of shares)/dw at r

With P = 1, or without a process group, everything here passes its argument through.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch, join_batches
from slimvec.objectives.losses import Losses, Objective


def num_processes() -> int:
    """P; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def over_processes(objective: Objective) -> Callable[[EmbeddedBatch], Losses]:
    """Make of the loss of a whole batch the loss of a process's part of it.

    Every process must call what is given, and call `backward` on its total, in the same step.
    """

    def losses_of(batch: EmbeddedBatch) -> Losses:
        return objective(gather_batch(batch)).scaled(num_processes())

    return losses_of


def gather_batch(batch: EmbeddedBatch) -> EmbeddedBatch:
    """Put the parts of all processes together, in the order of their ranks. Gradients flow to each part's owner.

    Args:
        batch: Batch of this process; the parts may differ in their numbers of pairs and negatives.

    Returns:
        The whole batch, with this process's rows as its own.
    """
    if num_processes() == 1:
        return batch
    pairs, count, dims = batch.pairs, batch.num_negatives, batch.dims
    mined = batch.query.new_zeros(0, dims) if batch.negatives is None else batch.negatives.flatten(0, 1)
    vectors = gather_with_gradient(torch.cat([batch.query, batch.positive, mined]))
    others: list[Any] = [None] * num_processes()
    dist.all_gather_object(others, _without_vectors(batch))
    parts = []
    for other, part in zip(others, vectors, strict=True):
        pairs, count = other.pairs, other.num_negatives
        query, positive, mined = part[:pairs], part[pairs : 2 * pairs], part[2 * pairs :]
        negatives = mined.view(pairs, count, dims) if count else None
        parts.append(replace(_moved(other, part.device), query=query, positive=positive, negatives=negatives))
    return join_batches(parts, own=dist.get_rank())


def gather_with_gradient(rows: Tensor) -> list[Tensor]:
    """Gather the rows of all processes; the gradient of each process's rows comes back to it, summed over processes.

    Args:
        rows: [n, D], with n of each process's own.

    Returns:
        [n_r, D] of each process r, in the order of their ranks.
    """
    mine = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.zeros_like(mine) for _ in range(num_processes())]
    dist.all_gather(lengths, mine)
    counts = [int(length) for length in lengths]
    padded = torch.cat([rows, rows.new_zeros(max(counts) - len(rows), rows.shape[1])])
    gathered = _AllGather.apply(padded)  # type: ignore[no-untyped-call]
    return [part[:count] for part, count in zip(gathered, counts, strict=True)]


def mean_over_processes(values: Tensor) -> Tensor:
    """Give the mean over the processes of numbers that each has, without gradient."""
    if num_processes() == 1:
        return values.detach()
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / num_processes()


class _AllGather(torch.autograd.Function):
    """`all_gather` of tensors of one shape; its gradient is a sum over processes, of which each keeps its own part."""

    @staticmethod
    def forward(_ctx: Any, rows: Tensor) -> tuple[Tensor, ...]:
        gathered = [torch.empty_like(rows) for _ in range(num_processes())]
        dist.all_gather(gathered, rows.contiguous())
        return tuple(gathered)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        total = torch.stack(grads)
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _without_vectors(batch: EmbeddedBatch) -> EmbeddedBatch:
    """Give what there is beside the vectors, on the CPU: the shapes say how many vectors there are."""
    narrow = batch.query.detach().new_zeros(batch.pairs, 0)
    negatives = None if batch.negatives is None else narrow.new_zeros(batch.pairs, batch.num_negatives, 0)
    teacher = None if batch.teacher is None else _moved(batch.teacher, torch.device("cpu"))
    bare = replace(batch, query=narrow, positive=narrow, negatives=negatives, teacher=None)
    return replace(_moved(bare, torch.device("cpu")), teacher=teacher)


def _moved(batch: EmbeddedBatch, device: torch.device) -> EmbeddedBatch:
    """Move a batch and its teacher."""
    fields: dict[str, Any] = {k: v.to(device) for k, v in vars(batch).items() if isinstance(v, Tensor)}
    return replace(batch, **fields, teacher=None if batch.teacher is None else _moved(batch.teacher, device))
