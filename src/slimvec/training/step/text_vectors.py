"""Distillation on plain texts: the steps of a run that learns teachers' vectors, read from disk as they are needed.

What a run begins with can come from the teacher too: the vectors of tokens where the embeddings have an adapter, and
the model's linear head by regression, which can follow the states below it (`slimvec.training.step.head_regression`).

Letters: N texts, B texts of a step, b of them this process's, D dims of the student or its head, E dims of all teachers
together, H width of the states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from slimvec.errors import InputError
from slimvec.model.adapters import has_fresh_embeddings, start_embeddings
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.head import finish
from slimvec.model.pooling import pool
from slimvec.objectives.losses import Losses
from slimvec.objectives.text_vectors import distil_texts
from slimvec.statistics.principal_axes import principal_axes
from slimvec.text.batch import PackedBatch
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.batches.collation import TeacherVectors
from slimvec.training.batches.deals import EvenDeal, IntArray, shuffled
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import TextVectorsObjective
from slimvec.training.step.distributed import gather_with_gradient, mean_over_processes, num_processes
from slimvec.training.step.events import Audience, Notice
from slimvec.training.step.gradients import Embed
from slimvec.training.step.head_regression import RunningRegression, fit_ridge, linear_head, pooled_states
from slimvec.training.step.prediction import TrainableStates
from slimvec.training.step.processes import Processes
from slimvec.training.step.static_vectors import fit_token_vectors
from slimvec.training.step.steps import DealtSteps, Step
from slimvec.training.step.token_vectors import token_vectors

Vectors = NDArray[np.float32]
BLOCK_TEXTS = 512
"""Texts whose vectors are in memory at once; progress is told, and vectors are kept, after each."""
REFIT_STEPS = 10
"""Steps from one solution of a head that follows its states to the next: the states change little in so many."""


class TargetVectors:
    """What teachers make of texts, concatenated.

    Each teacher's vectors have the length 1 / sqrt(number of teachers), so a cosine is the mean of the teachers' own.
    They are embedded when this is made, as far as the teachers do not keep them from before, and read again by step.

    Args:
        teachers: One or more.
        texts: N texts.
        role: The teachers' prompt.
        principal: Turn the vectors onto their principal axes over the texts, widest first.
        notice: Told how far the embedding is.
    """

    def __init__(
        self,
        teachers: Sequence[TeacherVectors],
        texts: Sequence[str],
        *,
        role: Role,
        principal: bool,
        notice: Notice | None = None,
    ) -> None:
        self._teachers, self._texts, self._role = teachers, texts, role
        self.dims = sum(teacher.dims for teacher in teachers)
        moments = np.zeros((self.dims, self.dims))
        for start in range(0, len(texts), BLOCK_TEXTS):
            if notice is not None:
                notice("embedding the texts with the teacher", start / len(texts))
            block = self.embed(texts[start : start + BLOCK_TEXTS]).astype(np.float64)
            moments += block.T @ block
        self._axes = principal_axes(moments).astype(np.float32) if principal else None

    @property
    def identity(self) -> str:
        """What tells these vectors from those of other teachers or prompts."""
        return f"{self._role}, {self._axes is not None}: {', '.join(teacher.identity for teacher in self._teachers)}"

    def rows(self, numbers: NDArray[np.int64]) -> Tensor:
        """Give the vectors of some texts.

        Args:
            numbers: B numbers of texts.

        Returns:
            [B, E] unit vectors.
        """
        found = self.embed([self._texts[number] for number in numbers.tolist()])
        return torch.from_numpy(found if self._axes is None else found @ self._axes)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Ask all teachers: [B, E], on their own axes."""
        parts = [teacher(texts, self._role, None) for teacher in self._teachers]
        units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        found: Vectors = (np.concatenate(units, axis=1) / len(parts) ** 0.5).astype(np.float32)
        return found


@dataclass(frozen=True, eq=False)
class _Texts:
    """The texts of a step that are this process's.

    Attributes:
        tokenized: As the student reads them.
        own: First row among the step's texts, and the row after the last.
    """

    tokenized: TokenizedTexts
    own: slice


class TrainablePooling(TrainableStates):
    """A model in training whose pooled states are asked for: what is ahead of its head.

    Args:
        model: Trained in place, head and all.
    """

    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__(model, pooled=True)

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the pooled states [n, H] of n texts, float32."""
        return pool(super().__call__(batch), batch, self._model.spec.pooling)


class TextVectorSteps(DealtSteps):
    """The steps of distillation on plain texts. What they ask `embed` for are pooled states (`TrainablePooling`).

    Args:
        texts: N different texts.
        recipe: Recipe of the stage.
        settings: Its objective.
        model: The student.
        targets: The teacher's vectors of the texts.
        projection: W, [E, D]; None for none.

    Raises:
        InputError: fewer than two texts, or a head that cannot be filled as the settings ask.
    """

    def __init__(
        self,
        texts: Sequence[str],
        recipe: Recipe,
        settings: TextVectorsObjective,
        *,
        model: EmbeddingModel,
        targets: TargetVectors,
        projection: nn.Parameter | None = None,
    ) -> None:
        if len(texts) < 2:
            raise InputError(f"{len(texts)} texts to learn from", expected="at least 2")
        super().__init__(recipe)
        self._texts, self._settings, self._model = texts, settings, model
        self._tokenizer = model.tokenizer.limited(settings.max_tokens)
        self._prompt = model.spec.prompts.render("document")
        self._solved = linear_head(model, targets.dims).linear if settings.head_texts else None
        self._regression = None
        if self._solved is not None and settings.refit_texts:
            dims, width = self._solved.weight.shape
            self._regression = RunningRegression(width, dims, memory=settings.refit_texts)
        self._targets, self._projection = targets, projection
        self._deal = EvenDeal(len(texts), size=settings.texts, seed=recipe.run.seed, stream="text-vectors")

    @property
    def kept(self) -> dict[str, Tensor]:
        """What a checkpoint has to hold beside the trained parameters: a head that was solved for, and what follows it.

        The tensors are the ones in use, to be filled in place when a run goes on.
        """
        head = {} if self._solved is None else {"head": self._solved.weight.detach()}
        return head if self._regression is None else head | self._regression.tensors

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch, _, epochs = self._deal.step(number)
        part = self._own(batch)
        wanted = self._targets.rows(batch)
        found = self._backward(embed, part.tokenized, lambda pooled: self._losses_of(pooled, wanted, part.own))
        with torch.no_grad():
            vectors = self._finish(found.vectors)
        if self._regression is not None:
            self._follow(number, found.vectors, wanted[part.own])
        losses = mean_over_processes(torch.stack([found.losses.total, *found.losses.parts.values()])).tolist()
        tokens, truncated = self._processes.add([sum(part.tokenized.lengths), part.tokenized.num_truncated])
        return Step(
            epoch=epochs,
            loss=losses[0],
            losses=dict(zip(found.losses.parts, losses[1:], strict=True)),
            tokens=int(tokens),
            truncated=int(truncated),
            random_cosine=_mean_cosine(vectors, self._processes),
        )

    def start(self, audience: Audience) -> None:
        """Set what the first step begins with: a fresh adapter of token embeddings, and the head if it is asked for.

        Args:
            audience: Told how far it is, and what it came to.

        Raises:
            InputError: the teacher's vectors are narrower than the adapter's rank.
        """
        if has_fresh_embeddings(self._model.backbone):
            vectors = self._processes.from_main(self._begin_tokens(audience) if self._processes.is_main else None)
            assert vectors is not None
            start_embeddings(self._model.backbone, vectors.to(self._model.device))
        if self._solved is not None:
            begun = self._processes.from_main(self._begin_head(audience) if self._processes.is_main else None)
            assert begun is not None
            for name, tensor in self.kept.items():
                tensor.copy_(begun[name])

    def _begin_tokens(self, audience: Audience) -> Tensor:
        """Give what the adapter of token embeddings begins with: the teacher's vector of each, fitted to the texts."""
        sequences = self._tokenizer.tokenize(self._texts).sequences
        vectors = token_vectors(
            self._model.tokenizer.unlimited(),
            sequences,
            self._targets.embed,
            vocabulary=self._model.backbone.config.vocab_size,
            rank=self._recipe.tuning.embedding_rank,
            on_share=lambda share: audience.notice("embedding the tokens with the teacher", share),
        )
        vectors, cosine = fit_token_vectors(
            vectors,
            sequences,
            self._targets.rows,
            seed=self._recipe.run.seed,
            on_share=lambda share: audience.notice("fitting the tokens to the texts", share),
        )
        if cosine is not None:
            audience.remark(f"tokens alone, without a layer, come to a mean cosine of {cosine:.3f} on texts left out")
        return vectors

    def _begin_head(self, audience: Audience) -> dict[str, Tensor]:
        """Give what `kept` begins with, and say how well the head does on texts that were left out."""
        assert self._solved is not None
        numbers = shuffled(np.arange(len(self._texts)), self._recipe.run.seed, "head")[: self._settings.head_texts]
        texts = self._tokenizer.tokenize([self._texts[number] for number in numbers], prompt=self._prompt)
        states = pooled_states(self._model, texts, on_share=lambda share: audience.notice("starting the head", share))
        wanted = self._targets.rows(numbers)[:, : self._solved.out_features]
        weights, cosine, penalty = fit_ridge(states, wanted)
        audience.remark(f"the head starts at a mean cosine of {cosine:.3f} with the teacher on texts left out")
        if self._regression is None:
            return {"head": weights}
        return {"head": weights} | self._regression.begin(states, wanted, penalty).tensors

    def _follow(self, number: int, pooled: Tensor, wanted: Tensor) -> None:
        """Take a step's texts into the head's regression, and solve it every few steps."""
        assert self._solved is not None
        assert self._regression is not None
        self._regression.add(pooled, wanted[:, : self._solved.out_features], self._processes)
        if (number + 1) % REFIT_STEPS == 0:
            self._solved.weight.detach().copy_(self._regression.solve())

    def _finish(self, pooled: Tensor) -> Tensor:
        """Turn pooled states into the model's vectors: [b, H] to [b, D]."""
        return finish(pooled, self._model.head, self._model.spec)

    def _losses_of(self, pooled: Tensor, wanted: Tensor, own: slice) -> Losses:
        """Compute the loss of own rows against all, scaled so that its mean over the processes is the whole."""
        vectors = self._finish(pooled)
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
