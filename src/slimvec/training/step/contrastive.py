"""Contrastive steps: a planned batch of records becomes token sequences, vectors, a loss and its gradient."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from slimvec.data.records import Record
from slimvec.objectives.losses import Losses, Objective
from slimvec.training.batches.augmentation import Augmentation, changes_of
from slimvec.training.batches.collation import Collator
from slimvec.training.batches.filling import Contrasts, Filling, check_filling
from slimvec.training.batches.plan import BatchPlan
from slimvec.training.batches.targets import Groups, KnownAnswers, record_kinds
from slimvec.training.recipe import Recipe
from slimvec.training.step.distributed import over_processes
from slimvec.training.step.gradients import Embed
from slimvec.training.step.reconstruction import Reconstruction
from slimvec.training.step.steps import RecipeSteps, Step, describe_pairs

_RANGE = 1 << 64


def drop_instructions(numbers: Sequence[int], *, share: float, seed: int, step: int) -> list[bool]:
    """Say which records' queries go without their instruction in a step.

    Each record is decided by itself, from seed, step and its own number: a run that is resumed, or spread over other
    processes, draws what it would have drawn.

    Args:
        numbers: Numbers of the step's records, among those of the run.
        share: Share of the queries, between 0 and 1.
        seed: The run's.
        step: Its number, from 0.
    """
    return [share > 0 and _place(f"{seed}/{step}/{number}") < share * _RANGE for number in numbers]


def _place(key: str) -> int:
    """Give a number from 0 to 2^64 that only the key decides; unrelated to other uses of it."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"untold").digest())


class ContrastiveSteps(RecipeSteps):
    """The steps of a run over records.

    Args:
        records: The training data.
        recipe: The settings.
        objective: The loss on the vectors of a batch.
        collator: Turns records into tokens.
        sources: [N], number of each record's source among the recipe's; default all of one source.
        reconstruction: A further loss on texts and vectors; default none.

    Attributes:
        filling: Pairs and negatives of its batches.

    Raises:
        InputError: the loss does not fit the records: graded pairs or scores that one has and the other does not; or
            most batches have nothing to tell apart.
    """

    def __init__(
        self,
        records: Sequence[Record],
        recipe: Recipe,
        *,
        objective: Objective,
        collator: Collator,
        sources: NDArray[np.int64] | None = None,
        reconstruction: Reconstruction | None = None,
    ) -> None:
        super().__init__(recipe)
        self._reconstruction = reconstruction
        self._augmentation = Augmentation(
            records, [changes_of(source) for source in recipe.data], sources=sources, seed=recipe.run.seed
        )
        self._losses_of, self._collator = over_processes(objective), collator
        self._kinds, self._groups = record_kinds(records, recipe.loss), Groups(records)
        self._answers = KnownAnswers(records)
        self._plan, self._contrasts = plan_contrastive(records, recipe, sources), Contrasts(records, recipe)
        self.filling = Filling.of(self._plan, self._contrasts)
        check_filling(self.filling, records, recipe)
        if self._processes.num > 1:
            self._processes.check_same("batch plans", self._plan.digest())

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the data."""
        return self._plan.num_steps(epochs)

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch = self._plan.step(number)
        own = batch.slice(self._processes.rank, self._processes.num)
        drawn = self._augmentation.draw(own, batch.epoch)
        texts = self._collator(
            drawn.records,
            epoch=batch.epoch,
            stands_for=drawn.stands_for,
            without_prompt=drop_instructions(
                own, share=self._recipe.batch.instruction_dropout, seed=self._recipe.run.seed, step=number
            ),
            kinds=[self._kinds[i] for i in own],
            groups=self._groups,
            answers=self._answers,
            seed=step_seed(self._recipe.run.seed, number),
        )

        def losses_of(vectors: Tensor) -> Losses:
            losses = self._losses_of(texts.assemble(vectors))
            if self._reconstruction is None:
                return losses
            return self._reconstruction.add(losses, vectors, texts.tokenized, step=number, rows=own)

        found = self._backward(embed, texts.tokenized, losses_of)
        tokens, truncated = self._processes.add([texts.num_tokens, texts.tokenized.num_truncated])
        met = self._contrasts.of(batch.indices)
        return describe_pairs(
            found,
            texts.assemble(found.vectors),
            self._processes,
            epoch=batch.epoch + batch.epoch_share,
            tokens=int(tokens),
            truncated=int(truncated),
            pairs=met.pairs,
            negatives=met.negatives,
        )


def plan_contrastive(records: Sequence[Record], recipe: Recipe, sources: NDArray[np.int64] | None) -> BatchPlan:
    """Plan the batches of a recipe. Arguments and errors as for `ContrastiveSteps`."""
    return BatchPlan.of(
        records,
        batch_size=recipe.batch.pairs,
        seed=recipe.run.seed,
        group_by=recipe.batch.group_by,
        kinds=np.array(record_kinds(records, recipe.loss), dtype=np.int64),
        sources=sources,
        homogeneous=recipe.batch.homogeneous,
        weights=() if sources is None else [source.weight for source in recipe.data],
        temperature=recipe.batch.mix_temperature,
    )


def step_seed(seed: int, number: int) -> int:
    """Give what a step draws from: fixed by the run's seed and the step's number, 63 bits."""
    return int.from_bytes(blake2b(f"{seed}/{number}".encode(), digest_size=8).digest(), "big") >> 1
