"""What the loop asks of the work it does step by step; contrastive training and adaptation both answer to it."""

from dataclasses import dataclass, field
from typing import Protocol

from slimvec.training.batches.deals import Deal
from slimvec.training.step.gradients import Embed


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


class DealtSteps:
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
