"""A linear head that is solved for instead of trained: ridge regression of wanted vectors on pooled states.

    W = argmin over W of  sum over texts of |W x - t|^2  +  penalty * |W|^2,   x pooled states, t the wanted vectors

in closed form. The penalty is the one whose vectors are nearest to the wanted ones (mean cosine) on a fifth of the
texts. While the layers below are trained, the head can follow them (variable projection, Golub and Pereyra 1973):

    X <- (1 - B/m) X + sum over the step's texts of x x^T,   Y <- (1 - B/m) Y + sum of t x^T
    W  = Y (X + penalty * mean of X's diagonal * I)^-1

every few steps, with the moments of the texts that W was solved on first counted as m texts.

Letters: N texts, B texts of a step, m texts that are remembered, D dims of the head, H width of the states.
"""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.head import Dense
from slimvec.model.pooling import pool
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.step.processes import Processes

PENALTIES = tuple(10.0**power for power in range(-7, 1))
"""Tried, as multiples of the states' mean square."""
_BATCH_TOKENS = 2048


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


def fit_ridge(states: Tensor, wanted: Tensor) -> tuple[Tensor, float, float]:
    """Solve the regression above.

    Args:
        states: [N, H].
        wanted: [N, D].

    Returns:
        W [D, H] from all texts, the mean cosine it reached on the fifth that was left out to choose the penalty, and
        the penalty as a multiple of the states' mean square.
    """
    held = torch.arange(len(states)) % 5 == 0
    parts = [_Solved(states[~held], wanted[~held]), _Solved(states, wanted)]
    found = (states[held].double() @ parts[0].weights(penalty) for penalty in PENALTIES)
    scores = [float(paired_cosine(vectors, wanted[held].double())) for vectors in found]
    best = max(range(len(PENALTIES)), key=scores.__getitem__)
    return parts[1].weights(PENALTIES[best]).T.to(states.dtype), scores[best], PENALTIES[best]


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


def paired_cosine(found: Tensor, wanted: Tensor) -> Tensor:
    """Give the mean cosine of vectors with those that are wanted: [N, D] and [N, D] to a number, differentiable."""
    return torch.cosine_similarity(found, wanted, dim=-1).mean()


class RunningRegression:
    """The regression while its states change, by the module's second formula.

    Args:
        width: H.
        dims: D.
        memory: m.
    """

    def __init__(self, width: int, dims: int, *, memory: int) -> None:
        self._memory = memory
        self._states = torch.zeros(width, width, dtype=torch.float64)
        self._wanted = torch.zeros(dims, width, dtype=torch.float64)
        self._penalty = torch.zeros((), dtype=torch.float64)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What it remembers, by name: to be kept with the weights, and filled in place when a run goes on."""
        return {"states": self._states, "wanted": self._wanted, "penalty": self._penalty}

    def begin(self, states: Tensor, wanted: Tensor, penalty: float) -> Self:
        """Begin with the texts the head was solved on.

        Args:
            states: [N, H].
            wanted: [N, D].
            penalty: As a multiple of the states' mean square.
        """
        x, y = states.double(), wanted.double()
        self._states.copy_(x.T @ x * (self._memory / len(x)))
        self._wanted.copy_(y.T @ x * (self._memory / len(x)))
        self._penalty.fill_(penalty)
        return self

    def add(self, states: Tensor, wanted: Tensor, processes: Processes) -> None:
        """Take in the texts of a step.

        Args:
            states: [b, H] of this process's texts.
            wanted: [b, D].
            processes: Among whom the step's texts are.
        """
        x, y = states.detach().double().cpu(), wanted.double().cpu()
        moments = [x.T @ x, y.T @ x, torch.tensor(float(len(x)), dtype=torch.float64)]
        processes.average(moments)
        new_states, new_wanted, count = (moment * processes.num for moment in moments)
        kept = max(0.0, 1 - float(count) / self._memory)
        self._states.mul_(kept).add_(new_states)
        self._wanted.mul_(kept).add_(new_wanted)

    def solve(self) -> Tensor:
        """Give W as it is now, [D, H] float64."""
        damped = self._states.clone()
        damped.diagonal().add_(self._penalty * self._states.diagonal().mean())
        found: Tensor = torch.linalg.solve(damped, self._wanted, left=False)
        return found
