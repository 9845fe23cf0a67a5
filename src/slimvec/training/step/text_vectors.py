"""Distillation on plain texts: the steps of a run that learns a teacher's vectors, read from disk as they are needed.

Letters: N texts, B texts of a step, D dims of the student, E dims of the teacher.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.objectives.losses import Losses
from slimvec.objectives.text_vectors import distil_texts
from slimvec.text.prompts import Prompts
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer
from slimvec.training.batches.deals import EvenDeal, IntArray
from slimvec.training.batches.shuffling import shuffled
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.text_vectors import TextVectorsObjective
from slimvec.training.step.distributed import gather_with_gradient, mean_over_processes, num_processes
from slimvec.training.step.events import Notice
from slimvec.training.step.gradients import Embed, backward
from slimvec.training.step.head_start import fit_ridge, linear_head, pooled_states
from slimvec.training.step.processes import Processes
from slimvec.training.step.steps import DealtSteps, Step
from slimvec.training.step.target_vectors import TargetVectors


@dataclass(frozen=True, eq=False)
class _Texts:
    """The texts of a step that are this process's.

    Attributes:
        tokenized: As the student reads them.
        own: First row among the step's texts, and the row after the last.
    """

    tokenized: TokenizedTexts
    own: slice


class TextVectorSteps(DealtSteps):
    """The steps of distillation on plain texts.

    Args:
        texts: N different texts.
        recipe: Recipe of the stage.
        settings: Its objective.
        tokenizer: The student's.
        prompts: The student's.
        targets: The teacher's vectors of the texts.
        projection: W, [E, D]; None for none.

    Raises:
        InputError: fewer than two texts.
    """

    def __init__(
        self,
        texts: Sequence[str],
        recipe: Recipe,
        settings: TextVectorsObjective,
        *,
        tokenizer: Tokenizer,
        prompts: Prompts,
        targets: TargetVectors,
        projection: nn.Parameter | None = None,
    ) -> None:
        if len(texts) < 2:
            raise InputError(f"{len(texts)} texts to learn from", expected="at least 2")
        self._texts, self._recipe, self._settings = texts, recipe, settings
        self._tokenizer = Tokenizer(tokenizer.backend, max_tokens=min(settings.max_tokens, tokenizer.max_tokens))
        self._prompt = prompts.render("document")
        self._targets, self._projection = targets, projection
        self._processes = Processes.current()
        self._deal = EvenDeal(len(texts), size=settings.texts, seed=recipe.run.seed, stream="text-vectors")

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch, _, epochs = self._deal.step(number)
        part = self._own(batch)
        wanted = self._targets.rows(batch)
        found = backward(
            embed,
            part.tokenized,
            lambda vectors: self._losses_of(vectors, wanted, part.own),
            micro_batch_tokens=self._recipe.batch.micro_batch_tokens,
            graph_tokens=self._recipe.batch.graph_tokens,
        )
        losses = mean_over_processes(torch.stack([found.losses.total, *found.losses.parts.values()])).tolist()
        tokens, truncated = self._processes.add([sum(part.tokenized.lengths), part.tokenized.num_truncated])
        return Step(
            epoch=epochs,
            loss=losses[0],
            losses=dict(zip(found.losses.parts, losses[1:], strict=True)),
            tokens=int(tokens),
            truncated=int(truncated),
            random_cosine=_mean_cosine(found.vectors, self._processes),
        )

    def start_head(self, model: EmbeddingModel, notice: Notice) -> None:
        """Fill the model's linear head by regression, as `slimvec.training.step.head_start` has it.

        Args:
            model: The one in training, before its first step.
            notice: Told how far it is, and how well the head does on texts that were left out.

        Raises:
            InputError: the head cannot be filled so.
        """
        layer = linear_head(model, self._targets.dims)
        fitted = self._fit(model, layer.linear.out_features, notice) if self._processes.is_main else None
        weights = self._processes.from_main(fitted)
        assert weights is not None
        with torch.no_grad():
            layer.linear.weight.copy_(weights)

    def _fit(self, model: EmbeddingModel, dims: int, notice: Notice) -> Tensor:
        """Give the weights of a linear head, [dims, H]."""
        seed = self._recipe.run.seed
        numbers = shuffled(np.arange(len(self._texts)), seed, "head")[: self._settings.head_texts]
        texts = self._tokenizer.tokenize([self._texts[number] for number in numbers], prompt=self._prompt)
        states = pooled_states(model, texts, on_share=lambda share: notice("starting the head", share))
        weights, cosine = fit_ridge(states, self._targets.rows(numbers)[:, :dims])
        notice(f"the head starts at a mean cosine of {cosine:.3f} with the teacher, on texts left out", None)
        return weights

    def _losses_of(self, vectors: Tensor, wanted: Tensor, own: slice) -> Losses:
        """Compute the loss of own rows against all, scaled so that its mean over the processes is the whole."""
        whole = vectors if num_processes() == 1 else torch.cat(gather_with_gradient(vectors))
        found = distil_texts(
            whole,
            wanted.to(whole.device),
            self._settings,
            dims=self._recipe.loss.mrl_dims,
            dim_weights=self._recipe.loss.mrl_weights,
            projection=self._projection,
            rows=own,
        )
        return found.scaled(num_processes())

    def _own(self, batch: IntArray) -> _Texts:
        """Tokenise this process's share of a step: neighbours, equally many to within one."""
        begin, end = (
            len(batch) * number // self._processes.num for number in (self._processes.rank, self._processes.rank + 1)
        )
        texts = [self._texts[number] for number in batch[begin:end]]
        return _Texts(self._tokenizer.tokenize(texts, prompt=self._prompt), slice(begin, end))


def _mean_cosine(vectors: Tensor, processes: Processes) -> float:
    """Give the mean cosine of two different texts of a step: (|sum|^2 - B) / (B (B - 1)) for B unit vectors."""
    unit = F.normalize(vectors, dim=-1).double()
    *total, count = processes.add([*unit.sum(0).tolist(), len(unit)])
    squared = sum(value * value for value in total)
    return float((squared - count) / (count * (count - 1)))
