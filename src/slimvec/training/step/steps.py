"""What the loop asks of the work it does step by step and of its model, and what is said of a step over pairs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from slimvec.model.spec import AttentionMode
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import same_group
from slimvec.objectives.losses import Losses
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.batches.deals import Deal
from slimvec.training.recipe import Recipe
from slimvec.training.step.distributed import mean_over_processes
from slimvec.training.step.gradients import BatchGradient, Embed, backward
from slimvec.training.step.processes import Processes

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A step whose gradient is there, before the weights move.

    Attributes:
        epoch: Passes over the data done after it, as a fraction.
        loss: Loss of its batch.
        tokens: It took in.
        truncated: Truncated texts.
        positive_cosine: Mean cosine of query and positive; None where there are no pairs.
        random_cosine: Mean cosine of query and the other queries' positives; None likewise.
        losses: Parts of the loss by name, before their weights in the sum.
        pairs: In its batch; 0 where there are none.
        negatives: That its pairs meet, added up.
    """

    epoch: float
    loss: float
    tokens: int
    truncated: int
    positive_cosine: float | None = None
    random_cosine: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    pairs: int = 0
    negatives: int = 0


class RecipeSteps:
    """Steps of a recipe, of which each process takes its share."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._processes = recipe, Processes.current()

    def _share(self, rows: Sequence[T]) -> Sequence[T]:
        """Give this process's share of some rows: every so-many-eth."""
        return rows[self._processes.rank :: self._processes.num]

    def _dice(self, epoch: int, number: int) -> np.random.Generator:
        """Give what an example draws from in an epoch, alike in any process."""
        return np.random.Generator(np.random.PCG64([self._recipe.run.seed, epoch, number]))

    def _backward(self, embed: Embed, texts: TokenizedTexts, losses_of: Callable[[Tensor], Losses]) -> BatchGradient:
        """Add the gradient of a loss of the vectors of texts, in pieces as the recipe has them."""
        batch = self._recipe.batch
        sizes = {"micro_batch_tokens": batch.micro_batch_tokens, "graph_tokens": batch.graph_tokens}
        return backward(embed, texts, losses_of, **sizes)


class DealtSteps(RecipeSteps):
    """Steps as many as a deal has."""

    _deal: Deal

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the data."""
        return self._deal.num_steps(epochs)


class Steps(Protocol):
    """Work in steps, each fixed by its number, the data and the weights."""

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the data."""
        ...

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of a step to the weights' `grad`.

        Args:
            number: Number of the step, from 0 over all epochs.
            embed: The model: a packed batch to what it gives for it, differentiable.
        """
        ...


class TrainableModel(Protocol):
    """What the loop needs of a model; `slimvec.model.embedding_model.EmbeddingModel` is one."""

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Embed n texts: [n, D] float32 unit vectors, differentiable in the trainable parameters."""
        ...

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Give all parameters; those to be trained require a gradient."""
        ...

    def modules(self) -> Iterable[nn.Module]:
        """Give all modules."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        ...

    def attend(self, mode: AttentionMode) -> None:
        """Change the attention mode."""
        ...


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
