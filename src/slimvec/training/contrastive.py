"""Contrastive steps: a planned batch of records becomes token sequences, vectors, a loss and its gradient."""

from collections.abc import Sequence

from torch import Tensor

from slimvec.data.records import Record
from slimvec.objectives.batch import EmbeddedBatch, Objective
from slimvec.training.collation import Collator
from slimvec.training.gradients import Embed, backward
from slimvec.training.plan import BatchPlan
from slimvec.training.recipe import Recipe
from slimvec.training.steps import Step


class ContrastiveSteps:
    """The steps of a run over records.

    Args:
        records: The training data.
        recipe: The settings.
        objective: The loss on the vectors of a batch.
        collator: Turns records into tokens.
    """

    def __init__(self, records: Sequence[Record], recipe: Recipe, *, objective: Objective, collator: Collator) -> None:
        self._records, self._recipe = records, recipe
        self._objective, self._collator = objective, collator
        self._plan = BatchPlan.of(records, batch_size=recipe.batch.pairs, seed=recipe.run.seed)

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the data."""
        return self._plan.num_steps(epochs)

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch = self._plan.step(number)
        texts = self._collator([self._records[i] for i in batch.indices], epoch=batch.epoch)

        def loss_of(vectors: Tensor) -> Tensor:
            return self._objective(texts.assemble(vectors))

        loss, vectors = backward(
            embed,
            texts.tokenized,
            loss_of,
            micro_batch_tokens=self._recipe.batch.micro_batch_tokens,
            graph_tokens=self._recipe.batch.graph_tokens,
        )
        positive, random = _mean_cosines(texts.assemble(vectors))
        return Step(
            epoch=batch.epoch + batch.epoch_share,
            loss=float(loss),
            tokens=texts.num_tokens,
            truncated=texts.tokenized.num_truncated,
            positive_cosine=positive,
            random_cosine=random,
        )


def _mean_cosines(batch: EmbeddedBatch) -> tuple[float, float]:
    """Give the mean cosine of the pairs, and of queries with the positives of others (0 for a single pair)."""
    cosines = batch.query @ batch.positive.T
    pairs = cosines.shape[0]
    matched = float(cosines.diagonal().mean())
    others = (float(cosines.sum()) - matched * pairs) / (pairs * (pairs - 1)) if pairs > 1 else 0.0
    return matched, others
