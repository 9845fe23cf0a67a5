"""Contrastive steps: a planned batch of records becomes token sequences, vectors, a loss and its gradient."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from slimvec.data.records import Record
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.composition import Objective
from slimvec.training.collation import Collator
from slimvec.training.distributed import over_processes
from slimvec.training.gradients import Embed, backward
from slimvec.training.plan import BatchPlan
from slimvec.training.recipe import Recipe
from slimvec.training.steps import Step
from slimvec.training.targets import record_kinds


class ContrastiveSteps:
    """The steps of a run over records.

    Args:
        records: The training data.
        recipe: The settings.
        objective: The loss on the vectors of a batch.
        collator: Turns records into tokens.

    Raises:
        InputError: the loss does not fit the records: graded pairs or scores that one has and the other does not.
    """

    def __init__(self, records: Sequence[Record], recipe: Recipe, *, objective: Objective, collator: Collator) -> None:
        self._records, self._recipe = records, recipe
        self._losses_of, self._collator = over_processes(objective), collator
        self._kinds = record_kinds(records, recipe.loss)
        self._plan = BatchPlan.of(
            records, batch_size=recipe.batch.pairs, seed=recipe.run.seed, kinds=np.array(self._kinds, dtype=np.int64)
        )

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the data."""
        return self._plan.num_steps(epochs)

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch = self._plan.step(number)
        texts = self._collator(
            [self._records[i] for i in batch.indices],
            epoch=batch.epoch,
            kinds=[self._kinds[i] for i in batch.indices],
            seed=step_seed(self._recipe.run.seed, number),
        )
        found = backward(
            embed,
            texts.tokenized,
            lambda vectors: self._losses_of(texts.assemble(vectors)),
            micro_batch_tokens=self._recipe.batch.micro_batch_tokens,
            graph_tokens=self._recipe.batch.graph_tokens,
        )
        positive, random = _mean_cosines(texts.assemble(found.vectors))
        return Step(
            epoch=batch.epoch + batch.epoch_share,
            loss=float(found.losses.total),
            losses={name: float(part) for name, part in found.losses.parts.items()},
            tokens=texts.num_tokens,
            truncated=texts.tokenized.num_truncated,
            positive_cosine=positive,
            random_cosine=random,
        )


def step_seed(seed: int, number: int) -> int:
    """Give what a step draws from: fixed by the run's seed and the step's number, 63 bits."""
    return int.from_bytes(blake2b(f"{seed}/{number}".encode(), digest_size=8).digest(), "big") >> 1


def _mean_cosines(batch: EmbeddedBatch) -> tuple[float, float]:
    """Give the mean cosine of the pairs, and of queries with the positives of others (0 for a single pair)."""
    cosines = batch.query @ batch.positive.T
    pairs = cosines.shape[0]
    matched = float(cosines.diagonal().mean())
    others = (float(cosines.sum()) - matched * pairs) / (pairs * (pairs - 1)) if pairs > 1 else 0.0
    return matched, others
