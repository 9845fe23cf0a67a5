"""Two views of a text as a pair, without labels: the controls of next-phrase training, in the same trainer.

    simcse    the same text twice, with other dropout (arXiv 2104.08821)
    crops     two random crops of it, some of their tokens deleted (Contriever, arXiv 2112.09118)

The first view carries the prompt of queries and the second that of documents.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.model.embedding_model import EmbeddingModel
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.losses import Objective
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.batches.deals import TextDeal
from slimvec.training.batches.passages import Frame, Passage, read_passages
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import Crops, SimCSE
from slimvec.training.step.contrastive import step_seed
from slimvec.training.step.distributed import over_processes
from slimvec.training.step.gradients import Embed
from slimvec.training.step.steps import DealtSteps, Step, describe_texts

LEAST_TOKENS = 8
"""Fewest words of a passage: shorter ones have nothing to crop and hardly anything to know again."""


class TextViewSteps(DealtSteps):
    """The steps over two views of each passage.

    Args:
        texts: To learn from.
        recipe: With an objective of one of these kinds.
        model: Gives tokenizer and prompts; its vectors come through the steps' `embed`.
        objective: The loss on the pairs.

    Raises:
        InputError: texts that are too few or too short.
    """

    def __init__(self, texts: Sequence[str], recipe: Recipe, *, model: EmbeddingModel, objective: Objective) -> None:
        assert isinstance(recipe.objective, SimCSE | Crops)
        super().__init__(recipe)
        self._settings, self._losses_of = recipe.objective, over_processes(objective)
        self._frames = [Frame.of(model.tokenizer, model.spec.prompts, role) for role in ("query", "document")]
        room = model.tokenizer.max_tokens - max(frame.size for frame in self._frames)
        most = min(self._settings.max_tokens, room)
        self._passages = read_passages(texts, model.tokenizer, least=LEAST_TOKENS, most=most)
        self._deal = TextDeal(
            list(map(len, self._passages)), step_tokens=self._settings.step_tokens, seed=recipe.run.seed
        )
        self._sublayers = _sublayers(model) if isinstance(self._settings, SimCSE) else []

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        chosen, epoch, epochs = self._deal.step(number)
        own = self._share(chosen.tolist())
        texts = self._views([(self._passages[i], self._dice(epoch, i)) for i in own])
        batch = partial(self._batch, [self._passages[i] for i in own], step_seed(self._recipe.run.seed, number))
        with dropout_behind(self._sublayers, getattr(self._settings, "dropout", 0.0)):
            found = self._backward(embed, texts, lambda vectors: self._losses_of(batch(vectors)))
        tokens = sum(texts.lengths)
        return describe_texts(found, batch(found.vectors), self._processes, epoch=epochs, tokens=tokens)

    def _views(self, drawn: Sequence[tuple[Passage, np.random.Generator]]) -> TokenizedTexts:
        """Give the first view of each passage, then the second of each."""
        views = [[self._view(passage, dice) for _ in self._frames] for passage, dice in drawn]
        rows = [frame.around(view[k]) for k, frame in enumerate(self._frames) for view in views]
        prefixes = [frame.prefix_length for frame in self._frames for _ in views]
        return TokenizedTexts(rows, prefixes, [False] * len(rows))

    def _view(self, passage: Passage, dice: np.random.Generator) -> list[int]:
        """Give the tokens of a view."""
        if isinstance(self._settings, SimCSE):
            return list(map(int, passage.ids))
        low, high = self._settings.shares
        size = max(1, round(len(passage) * (low + (high - low) * dice.random())))
        start = int(dice.random() * (len(passage) - size + 1))
        kept = dice.random(size) >= self._settings.drop
        kept[int(dice.random() * size)] = True  # one at least
        return list(map(int, passage.ids[start : start + size][kept]))

    @staticmethod
    def _batch(passages: Sequence[Passage], seed: int, vectors: Tensor) -> EmbeddedBatch:
        """Make a batch of pairs; passages of one text are not negatives for each other."""
        query, document = F.normalize(vectors, dim=-1).chunk(2)
        groups = torch.tensor([p.text_id for p in passages], dtype=torch.int64, device=vectors.device)
        return EmbeddedBatch(query, document, group_ids=groups, seed=seed)


def _sublayers(model: EmbeddingModel) -> list[nn.Module]:
    """Give the attention and feed-forward parts of a decoder; none for encoders, which have dropout of their own."""
    names = ("self_attn", "mlp")
    return [part for name, part in model.backbone.hf_model.named_modules() if name.rpartition(".")[2] in names]


@contextmanager
def dropout_behind(modules: Iterable[nn.Module], rate: float) -> Iterator[None]:
    """Drop a share of what modules give within the block, as long as they are in training mode."""

    def drop(module: nn.Module, _: object, output: object) -> object:
        first = output[0] if isinstance(output, tuple) else output
        assert isinstance(first, Tensor)
        dropped = F.dropout(first, rate, training=module.training)
        return (dropped, *output[1:]) if isinstance(output, tuple) else dropped

    hooks = [module.register_forward_hook(drop) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
