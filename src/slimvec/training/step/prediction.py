"""Token prediction: pre-training from scratch, and adaptation of a causal model to what comes after.

    masked-next-token   L = mean over masked i of -log softmax(W s_{i-1})[x_i]     LLM2Vec, arXiv 2404.05961
    next-token          L = mean over all i > 1 of -log softmax(W s_{i-1})[x_i]
    masked-token        L = mean over masked i of -log softmax(W s_i)[x_i]         BERT, arXiv 1810.04805

s_i are the states, W is the language-model head. Masked tokens of a text are all replaced by the same mask token. The
first token is never predicted from the state before it, since nothing stands there, and `masked-token` leaves special
tokens alone, which are the same in every text. Texts are packed; no place is padded.

Tokens predicted from states: the mean cross-entropy over all predicted tokens of a step, piece by piece.

    L = mean over predicted i of -log softmax(W s_i)[y_i]

s_i is a state, W the language-model head. No text depends on another one, so that the gradients of pieces add up to
that of the whole, in one process or in several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.lm_head import LMHead
from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.deals import TextDeal
from slimvec.training.recipe import Recipe
from slimvec.training.step.gradients import Embed, empty_run, equally_many
from slimvec.training.step.processes import Processes
from slimvec.training.step.steps import DealtSteps, Step

IntArray = NDArray[np.int64]
Tokens = NDArray[np.int32]
MASKS = ("<mask>", "[MASK]", "_")
"""Mask tokens in the order they are looked for."""


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


class TrainableStates:
    """A model in training whose states are asked for instead of its vectors.

    Args:
        model: Trained in place.
        pooled: Whether vectors are made of the states, so that what is behind the backbone is trained with it.
    """

    def __init__(self, model: EmbeddingModel, *, pooled: bool = False) -> None:
        self._model = model
        self.named_parameters = model.named_parameters if pooled else model.backbone.named_parameters
        self.modules = model.modules
        self.attend: Callable[[AttentionMode], None] = model.attend

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H]."""
        states: Tensor = self._model.backbone(batch)
        return states

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        self._model.train(mode)
        return self


@dataclass(frozen=True, eq=False)
class _Batch:
    """The texts of a step and what is predicted in them.

    Attributes:
        texts: Numbers of the texts.
        predicted: By text, the places whose tokens are predicted, in the text.
        epoch: Passes over the data done after it.
    """

    texts: IntArray
    predicted: list[IntArray]
    epoch: float


class PredictionSteps(DealtSteps):
    """The steps of token prediction.

    Args:
        texts: To learn from.
        recipe: With a section `adaptation`.
        tokenizer: The model's.
        head: The language model's.

    Raises:
        InputError: a text without tokens, no mask token where one is needed, or no text with a token to predict.
    """

    def __init__(self, texts: Sequence[str], recipe: Recipe, *, tokenizer: Tokenizer, head: LMHead) -> None:
        assert recipe.adaptation is not None
        super().__init__(recipe)
        self._settings, self._head = recipe.adaptation, head
        masks = self._settings.objective != "next-token"
        self._mask = mask_id(tokenizer.backend, self._settings.mask_token) if masks else None
        known = tokenizer.backend.get_added_tokens_decoder()
        self._special = np.array([number for number, token in known.items() if token.special], dtype=np.int32)
        self._offset = 0 if self._settings.objective == "masked-token" else 1
        tokenized = tokenizer.limited(self._settings.max_tokens).tokenize(texts)
        sequences = [np.array(sequence, dtype=np.int32) for sequence in tokenized.sequences]
        kept = [number for number, sequence in enumerate(sequences) if len(self._predictable(sequence))]
        if not kept:
            raise InputError("no text has a token to predict", expected="longer texts")
        self._sequences = [sequences[number] for number in kept]
        self._truncated = np.array([tokenized.truncated[number] for number in kept])
        self._deal = TextDeal(
            list(map(len, self._sequences)), step_tokens=self._settings.step_tokens, seed=recipe.run.seed
        )

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch = self._batch(number)
        own = range(self._processes.rank, len(batch.texts), self._processes.num)
        predictions = [self._prediction(self._sequences[batch.texts[p]], batch.predicted[p]) for p in own]
        loss = predict_backward(
            predictions,
            sum(len(places) for places in batch.predicted),
            embed,
            self._head,
            micro_batch_tokens=self._recipe.batch.micro_batch_tokens,
        )
        truncated = int(self._truncated[batch.texts[list(own)]].sum())
        tokens, cut, whole = self._processes.add([sum(len(one.seen) for one in predictions), truncated, loss])
        return Step(epoch=batch.epoch, loss=whole, tokens=int(tokens), truncated=int(cut))

    def _prediction(self, sequence: Tokens, chosen: IntArray) -> Prediction:
        """Give a text as the model sees it, with the places that predict the chosen tokens."""
        seen = sequence.copy()
        if self._mask is not None:
            seen[chosen] = self._mask
        return Prediction(seen.tolist(), chosen - self._offset, sequence[chosen])

    def _predictable(self, sequence: Tokens) -> IntArray:
        """Give the places whose tokens can be predicted."""
        if self._offset:
            return np.arange(1, len(sequence))
        return np.flatnonzero(~np.isin(sequence, self._special))

    def _batch(self, number: int) -> _Batch:
        """Give the texts of a step, and draw what is predicted: fixed by the seed and the step's number."""
        dice = np.random.Generator(np.random.PCG64([self._recipe.run.seed, number]))
        texts, _, epochs = self._deal.step(number)
        possible = [self._predictable(self._sequences[text]) for text in texts]
        predicted = possible
        if self._mask is not None:
            predicted = [places[dice.random(len(places)) < self._settings.predicted_share] for places in possible]
            if not any(len(places) for places in predicted):
                predicted[0] = dice.choice(possible[0], size=1)
        return _Batch(texts, predicted, epochs)


def mask_id(tokenizer: tokenizers.Tokenizer, token: str | None) -> int:
    """Give the id of the mask token.

    Args:
        tokenizer: The model's.
        token: As the recipe names it; default the first of `MASKS` that is one token.

    Raises:
        InputError: it is not one token.
    """
    for candidate in MASKS if token is None else (token,):
        known = tokenizer.token_to_id(candidate)
        if known is not None:
            return int(known)
        ids = tokenizer.encode(candidate, add_special_tokens=False).ids
        if len(ids) == 1 and candidate in ("_", token):
            return int(ids[0])
    raise InputError(
        f"no mask token: {', '.join(MASKS) if token is None else token} is not a single token of the model",
        expected="one that is",
        do="name one in adaptation.mask_token",
    )
