"""Masked next-token prediction (LLM2Vec, arXiv 2404.05961), which teaches a causal model to use what comes after.

Some tokens of a text are replaced by a mask token, all of them by the same one. A masked token at place i is predicted
from the state at i - 1, as the language-model head is used to:

    L = mean over masked i of -log softmax(W s_{i-1})[x_i]

Texts are packed; no place is padded, and the first token of a text is never masked, since nothing stands before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import tokenizers
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch
from slimvec.text.schedule import plan_batches
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.gradients import Embed
from slimvec.training.processes import Processes
from slimvec.training.recipe import Recipe
from slimvec.training.shuffling import shuffled
from slimvec.training.steps import Step

IntArray = NDArray[np.int64]

MASKS = ("<mask>", "[MASK]", "_")
"""Mask tokens in the order they are looked for."""


class StatesTrainee:
    """A model in training whose states are asked for instead of its vectors.

    Args:
        model: Trained in place.
    """

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self.named_parameters = model.backbone.named_parameters
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
    """The texts of a step and what is masked in them.

    Attributes:
        texts: Numbers of the texts.
        masked: By text, the places that are masked, in the text.
        epoch: Passes over the data done after it.
    """

    texts: IntArray
    masked: list[IntArray]
    epoch: float


class MaskedSteps:
    """The steps of an adaptation.

    Args:
        texts: To learn from.
        recipe: With a section `adaptation`.
        tokenizer: The model's.
        head: Gives the head's weights, [V, H].

    Raises:
        InputError: a text without tokens, no mask token, or no text with a token to predict.
    """

    def __init__(
        self, texts: Sequence[str], recipe: Recipe, *, tokenizer: Tokenizer, head: Callable[[], Tensor]
    ) -> None:
        assert recipe.adaptation is not None
        self._settings, self._recipe, self._head = recipe.adaptation, recipe, head
        self._mask = mask_id(tokenizer.backend, self._settings.mask_token)
        tokenized = Tokenizer(tokenizer.backend, max_tokens=self._settings.max_tokens).tokenize(texts)
        kept = [number for number, sequence in enumerate(tokenized.sequences) if len(sequence) > 1]
        if not kept:
            raise InputError("no text has two tokens", expected="texts in which a token follows another")
        self._sequences = [np.array(tokenized.sequences[number], dtype=np.int32) for number in kept]
        self._truncated = np.array([tokenized.truncated[number] for number in kept])
        self._processes = Processes.current()
        self._epoch, self._batches = -1, list[IntArray]()
        self._sizes: list[int] = []

    def num_steps(self, epochs: int) -> int:
        """Count the steps of so many passes over the texts."""
        return sum(self._epoch_length(epoch) for epoch in range(epochs))

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        batch = self._batch(number)
        total = sum(len(places) for places in batch.masked)
        rank, num = self._processes.rank, self._processes.num
        own = range(rank, len(batch.texts), num)
        lengths = [len(self._sequences[batch.texts[place]]) for place in own]
        loss = 0.0
        for piece in plan_batches(lengths, token_budget=self._recipe.batch.micro_batch_tokens):
            chosen = [own[index] for index in piece]
            part = self._loss(
                [self._sequences[batch.texts[p]] for p in chosen], [batch.masked[p] for p in chosen], embed
            )
            if part is not None:
                # The gradients of all processes are averaged, so each scales its share up by their number.
                (part * (num / total)).backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach()) / total
        truncated = int(self._truncated[batch.texts[list(own)]].sum())
        tokens, cut, whole = self._processes.add([sum(lengths), truncated, loss])
        return Step(epoch=batch.epoch, loss=whole, tokens=int(tokens), truncated=int(cut))

    def _loss(self, sequences: Sequence[IntArray], masked: Sequence[IntArray], embed: Embed) -> Tensor | None:
        """Give the summed loss of some texts; None where nothing is masked."""
        inputs, places, targets, start = [], [], [], 0
        for sequence, hidden in zip(sequences, masked, strict=True):
            seen = sequence.copy()
            seen[hidden] = self._mask
            inputs.append(seen.tolist())
            places.append(start + hidden - 1)
            targets.append(sequence[hidden])
            start += len(sequence)
        wanted = torch.from_numpy(np.concatenate(targets).astype(np.int64))
        if not len(wanted):
            return None
        states = embed(PackedBatch.from_sequences(inputs))
        before = states[torch.from_numpy(np.concatenate(places)).to(states.device)]
        logits = F.linear(before, self._head().to(before.dtype)).float()
        return F.cross_entropy(logits, wanted.to(logits.device), reduction="sum")

    def _batch(self, number: int) -> _Batch:
        """Give the texts of a step, and draw what is masked: fixed by the seed and the step's number."""
        dice = np.random.Generator(np.random.PCG64([self._recipe.run.seed, number]))
        epoch = 0
        while number >= self._epoch_length(epoch):
            number -= self._epoch_length(epoch)
            epoch += 1
        texts = self._deal(epoch)[number]
        masked = []
        for text in texts:
            drawn = dice.random(len(self._sequences[text]) - 1) < self._settings.mask_share
            masked.append(np.flatnonzero(drawn) + 1)
        if not any(len(places) for places in masked):
            masked[0] = dice.integers(1, len(self._sequences[texts[0]]), size=1)
        return _Batch(texts, masked, epoch + (number + 1) / self._epoch_length(epoch))

    def _epoch_length(self, epoch: int) -> int:
        while len(self._sizes) <= epoch:
            self._sizes.append(len(self._deal(len(self._sizes))))
        return self._sizes[epoch]

    def _deal(self, epoch: int) -> list[IntArray]:
        """Shuffle the texts and cut their row where a step has its tokens; every text comes once an epoch."""
        if epoch != self._epoch:
            order = shuffled(np.arange(len(self._sequences)), self._recipe.run.seed, "adaptation", epoch)
            ends = np.cumsum([len(self._sequences[text]) for text in order])
            numbers = (ends - 1) // self._settings.step_tokens
            cuts = np.flatnonzero(np.diff(numbers)) + 1
            self._epoch, self._batches = epoch, np.split(order, cuts)
        return self._batches


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
        f"no mask token: {', '.join(MASKS) if token is None else token} is no single token of the model",
        expected="one that is",
        do="name one in adaptation.mask_token",
    )
