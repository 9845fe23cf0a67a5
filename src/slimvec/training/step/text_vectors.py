"""Distillation on plain texts: the steps of a run that learns teachers' vectors, read from disk as they are needed.

The model's linear head can start where the best linear map leads: ridge regression from pooled states.

    W = argmin over W of  sum over texts of |W x - t|^2  +  penalty * |W|^2,   x pooled states, t the wanted vectors

in closed form. The penalty is the one whose vectors are nearest to the wanted ones (mean cosine) on a fifth of the
texts.

Letters: N texts, B texts of a step, D dims of the student or its head, E dims of all teachers together, H width of the
states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from slimvec.errors import InputError
from slimvec.model.adapters import has_fresh_embeddings, start_embeddings
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.head import Dense
from slimvec.model.pooling import pool
from slimvec.objectives.losses import Losses
from slimvec.objectives.text_vectors import distil_texts
from slimvec.statistics.principal_axes import principal_axes
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.prompts import Prompts, Role
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer
from slimvec.training.batches.collation import TeacherVectors
from slimvec.training.batches.deals import EvenDeal, IntArray, shuffled
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import TextVectorsObjective
from slimvec.training.step.distributed import gather_with_gradient, mean_over_processes, num_processes
from slimvec.training.step.events import Notice
from slimvec.training.step.gradients import Embed
from slimvec.training.step.processes import Processes
from slimvec.training.step.steps import DealtSteps, Step
from slimvec.training.step.token_vectors import token_vectors

PENALTIES = tuple(10.0**power for power in range(-7, 1))
"""Tried, as multiples of the states' mean square."""
_BATCH_TOKENS = 2048
Vectors = NDArray[np.float32]
BLOCK_TEXTS = 512
"""Texts whose vectors are in memory at once; progress is told, and vectors are kept, after each."""


def linear_head(model: EmbeddingModel, dims: int) -> Dense:
    """Give the head of a model that a regression can fill.

    Args:
        model: With its head.
        dims: Width of the wanted vectors.

    Raises:
        InputError: the head is not one linear layer without bias, or is wider than the wanted vectors.
    """
    layers = list(model.head.layers)
    first = layers[0] if len(layers) == 1 and model.head.is_linear else None
    if isinstance(first, Dense) and not first.has_residual and first.linear.out_features <= dims:
        return first
    raise InputError(
        f"objective.head_texts for a head of {[layer.kind for layer in model.spec.head]} and vectors of {dims} numbers",
        expected=f"one layer, at most {dims} wide, that regression can solve",
        do="set model.head=[{kind: dense, in_dims: WIDTH, out_dims: DIMS, bias: false, activation: Identity}]",
    )


def pooled_states(model: EmbeddingModel, texts: TokenizedTexts, *, on_share: Callable[[float], None]) -> Tensor:
    """Give the pooled states of texts, ahead of the head: [N, H] float32.

    Args:
        model: Embeds.
        texts: N texts.
        on_share: Told what share of the tokens is done.
    """
    found = torch.empty(len(texts.sequences), model.backbone.dims)
    done, total = 0, sum(texts.lengths)
    with torch.no_grad():
        for numbers in plan_batches(texts.lengths, token_budget=_BATCH_TOKENS):
            batch: PackedBatch = texts.pack(numbers)
            states = model.backbone(batch)
            found[numbers] = pool(states, batch, model.spec.pooling).float().cpu()
            done += batch.num_tokens
            on_share(done / total)
    return found


def fit_ridge(states: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    """Solve the regression above.

    Args:
        states: [N, H].
        wanted: [N, D].

    Returns:
        W [D, H] from all texts, and the mean cosine it reached on the fifth that was left out to choose the penalty.
    """
    held = torch.arange(len(states)) % 5 == 0
    parts = [_Solved(states[~held], wanted[~held]), _Solved(states, wanted)]
    scores = [_paired_cosine(states[held].double() @ parts[0].weights(p), wanted[held].double()) for p in PENALTIES]
    best = max(range(len(PENALTIES)), key=scores.__getitem__)
    return parts[1].weights(PENALTIES[best]).T.to(states.dtype), scores[best]


class _Solved:
    """A regression, up to its penalty: [N, H] to [N, D]."""

    def __init__(self, states: Tensor, wanted: Tensor) -> None:
        x, y = states.double(), wanted.double()
        self._values, self._vectors = torch.linalg.eigh(x.T @ x / len(x))
        self._products = self._vectors.T @ (x.T @ y / len(x))

    def weights(self, penalty: float) -> Tensor:
        """Give W^T [H, D] for a penalty as a multiple of the states' mean square."""
        damped = self._values.clamp_min(0) + penalty * self._values.mean()
        found: Tensor = self._vectors @ (self._products / damped[:, None])
        return found


def _paired_cosine(found: Tensor, wanted: Tensor) -> float:
    return float(torch.cosine_similarity(found, wanted, dim=-1).mean())


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
        super().__init__(recipe)
        self._texts, self._settings = texts, settings
        self._tokenizer = tokenizer.limited(settings.max_tokens)
        self._prompt = prompts.render("document")
        self._targets, self._projection = targets, projection
        self._deal = EvenDeal(len(texts), size=settings.texts, seed=recipe.run.seed, stream="text-vectors")

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch, _, epochs = self._deal.step(number)
        part = self._own(batch)
        wanted = self._targets.rows(batch)
        found = self._backward(embed, part.tokenized, lambda vectors: self._losses_of(vectors, wanted, part.own))
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

    def start(self, model: EmbeddingModel, notice: Notice) -> None:
        """Set what the first step begins with: a fresh adapter of token embeddings, and the head if it is asked for.

        Args:
            model: The one in training, before its first step.
            notice: Told how far it is.

        Raises:
            InputError: the head cannot be filled so, or the teacher's vectors are narrower than the adapter's rank.
        """
        if has_fresh_embeddings(model.backbone):
            self._start_embeddings(model, notice)
        if self._settings.head_texts:
            self._start_head(model, notice)

    def _start_embeddings(self, model: EmbeddingModel, notice: Notice) -> None:
        """Let the adapter of the token embeddings begin with what the teacher makes of each token."""
        found = None
        if self._processes.is_main:
            found = token_vectors(
                model.tokenizer.unlimited(),
                self._tokenizer.tokenize(self._texts).sequences,
                self._targets.embed,
                vocabulary=model.backbone.config.vocab_size,
                rank=self._recipe.tuning.embedding_rank,
                on_share=lambda share: notice("embedding the tokens with the teacher", share),
            )
        vectors = self._processes.from_main(found)
        assert vectors is not None
        start_embeddings(model.backbone, vectors.to(model.device))

    def _start_head(self, model: EmbeddingModel, notice: Notice) -> None:
        """Fill the model's linear head by regression, and say how well it does on texts that were left out."""
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
