"""Tokens predicted from states: the mean cross-entropy over all predicted tokens of a step, piece by piece.

    L = mean over predicted i of -log softmax(W s_i)[y_i]

s_i is a state, W the language-model head. No text depends on another one, so that the gradients of pieces add up to
that of the whole, in one process or in several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.lm_head import LMHead
from slimvec.text.batch import PackedBatch
from slimvec.text.schedule import plan_batches
from slimvec.training.recipe import Recipe
from slimvec.training.step.gradients import Embed, empty_run, equally_many
from slimvec.training.step.processes import Processes

IntArray = NDArray[np.int64]
Tokens = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A text, and what is predicted in it.

    Attributes:
        seen: Tokens that the model runs.
        read: [k], places in `seen` whose states predict.
        wanted: [k], tokens that they shall predict.
    """

    seen: Sequence[int]
    read: IntArray
    wanted: Tokens


def predict_backward(
    predictions: Sequence[Prediction], total: int, embed: Embed, head: LMHead, *, micro_batch_tokens: int
) -> float:
    """Add the gradient of this process's share of the loss, and give that share.

    Args:
        predictions: Texts of this process.
        total: Predicted tokens of all processes.
        embed: Packed batch to states [T, H], differentiable.
        head: Language-model head.
        micro_batch_tokens: Tokens run at once.
    """
    loss, lengths = 0.0, [len(one.seen) for one in predictions]
    for piece in equally_many(plan_batches(lengths, token_budget=micro_batch_tokens)):
        part = _summed([predictions[index] for index in piece], embed, head)
        # The gradients of all processes are averaged, so each scales its share up by their number.
        (part * (Processes.current().num / total)).backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach()) / total
    return loss


def _summed(predictions: Sequence[Prediction], embed: Embed, head: LMHead) -> Tensor:
    """Give the summed loss of some texts; 0 for none, after a run of the model all the same."""
    if not predictions:
        return empty_run(embed).sum()
    batch = PackedBatch.from_sequences([one.seen for one in predictions])
    starts = np.cumsum([0, *(len(one.seen) for one in predictions[:-1])])
    places = np.concatenate([start + one.read for start, one in zip(starts, predictions, strict=True)])
    wanted = np.concatenate([one.wanted for one in predictions]).astype(np.int64)
    states = embed(batch)
    return head.loss(states[torch.from_numpy(places).to(states.device)], torch.from_numpy(wanted))


def check_causal(model: EmbeddingModel, recipe: Recipe, what: str) -> None:
    """Refuse a model that cannot predict a text token by token.

    Raises:
        InputError: then.
    """
    if model.spec.attention != "causal":
        raise InputError(
            f"{what} by {recipe.base.name}, which is {model.spec.attention}",
            expected="causal attention, so that it can predict a text token by token",
            do="set model.attention=causal",
        )
