"""Retrieval learnt by next-token prediction over a group of passages (Revela, arXiv 2506.16552).

For the passages x^1 ... x^B of a group, with q_i the vector of the first half of x^i and d_j that of all of x^j:

    a_ij = softmax over j != i of q_i . d_j / t        (or 1 / (B - 1), the control)
    L    = mean over i and t in the second half of x^i of -log p(x^i_t | x^i_<t, the other passages weighted by a_i)

p is the model itself, with attention to the plain states of the other passages beside its own in every layer
(`slimvec.model.cross_attention`). The first half alone asks, so that the weights know nothing of what is predicted. The
gradient reaches the vectors through a.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.model.attention import Packing
from slimvec.model.cross_attention import CrossPacking
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.lm_head import LMHead
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.losses import Losses
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.batches.deals import TextDeal, shuffled
from slimvec.training.batches.passages import Frame, Passage, read_passages
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import Revela
from slimvec.training.step.gradients import Embed, with_gradient
from slimvec.training.step.prediction import check_causal
from slimvec.training.step.steps import DealtSteps, Step, describe_pairs

LEAST_TOKENS = 16
"""Fewest tokens of a passage, whose first half asks and whose second half is predicted."""
Group = list[Passage]


class RevelaSteps(DealtSteps):
    """The steps of the module's objective.

    Args:
        texts: To learn from.
        recipe: With an objective of this kind.
        model: Causal; none of its layers is run by anything else.
        head: Its language-model head.

    Raises:
        InputError: a model that is not causal, or texts that are too few or too short.
    """

    def __init__(self, texts: Sequence[str], recipe: Recipe, *, model: EmbeddingModel, head: LMHead) -> None:
        assert isinstance(recipe.objective, Revela)
        super().__init__(recipe)
        self._settings, self._model, self._head = recipe.objective, model, head
        check_causal(model, recipe, "Revela")
        self._frames = [Frame.of(model.tokenizer, model.spec.prompts, role) for role in ("query", "document")]
        most = min(self._settings.max_tokens, model.tokenizer.max_tokens - max(frame.size for frame in self._frames))
        passages = read_passages(texts, model.tokenizer, least=LEAST_TOKENS, most=most)
        self._groups = _group(passages, self._settings.passages, recipe.run.seed)
        lengths = [sum(map(len, group)) for group in self._groups]
        self._deal = TextDeal(lengths, step_tokens=self._settings.step_tokens, seed=recipe.run.seed)

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        chosen, _, epochs = self._deal.step(number)
        everything = [self._groups[i] for i in chosen.tolist()]
        own = self._share(everything)
        total = sum(_num_predicted(passage) for group in everything for passage in group)
        passages = [passage for group in own for passage in group]
        asked = [self._frames[0].around(list(map(int, p.ids[: _half(p)]))) for p in passages]
        read = [self._frames[1].around(list(map(int, p.ids))) for p in passages]
        prefixes = [frame.prefix_length for frame in self._frames for _ in passages]
        texts = TokenizedTexts(asked + read, prefixes, [False] * len(prefixes))
        found = self._backward(embed, texts, partial(self._losses, own, self._processes.num / total))
        query, document = F.normalize(found.vectors, dim=-1).chunk(2)
        tokens = sum(texts.lengths) + 2 * sum(map(len, passages))
        pairs, taken = self._processes.add([len(passages), tokens])
        return describe_pairs(
            found,
            EmbeddedBatch(query, document),
            self._processes,
            epoch=epochs,
            tokens=int(taken),
            truncated=0,
            pairs=int(pairs),
            negatives=sum(len(group) * (len(group) - 1) for group in everything),
        )

    def _losses(self, groups: Sequence[Group], scale: float, vectors: Tensor) -> Losses:
        """Add the gradient in the model group by group, and give a loss with that in the vectors.

        Args:
            groups: Groups of this process.
            scale: Weight of a predicted token: their mean over all processes, times their number.
            vectors: [2 N, D], those that ask, then those that are read.
        """
        units = F.normalize(vectors.detach(), dim=-1).requires_grad_()
        value, start, num = 0.0, 0, len(units) // 2
        for group in groups:
            end = start + len(group)
            weights = self._weights(units[start:end], units[num + start : num + end])
            loss = scale * self._group_loss(group, weights)
            loss.backward()  # type: ignore[no-untyped-call]
            value, start = value + float(loss.detach()), end
        total = with_gradient(vectors.sum() * 0 + value, vectors, units)
        return Losses(total, {"next-token": vectors.new_tensor(value)})

    def _weights(self, query: Tensor, document: Tensor) -> Tensor:
        """Give a: [B, B], with zeros on the diagonal."""
        own = torch.eye(len(query), dtype=torch.bool, device=query.device)
        if self._settings.weights == "uniform":
            return (~own).to(query) / (len(query) - 1)
        return torch.softmax((query @ document.T / self._settings.temperature).masked_fill(own, -torch.inf), dim=1)

    def _group_loss(self, group: Group, weights: Tensor) -> Tensor:
        """Give the summed next-token loss of the second halves of a group."""
        rows = [list(map(int, passage.ids)) for passage in group]
        batch = PackedBatch.from_sequences(rows + rows).to(self._model.device)
        packing = Packing.of(batch, "causal")
        attends = CrossPacking(packing, batch.lengths, weights, self._settings.strength)
        states = self._model.backbone(batch, attends=attends)
        starts = np.cumsum([0, *batch.lengths[:-1]])[len(group) :]
        places = np.concatenate([start + np.arange(_half(p), len(p)) for start, p in zip(starts, group, strict=True)])
        chosen = torch.from_numpy(places).to(states.device)
        return self._head.loss(states[chosen - 1], batch.input_ids[chosen])


def _half(passage: Passage) -> int:
    """Give the first token of the second half."""
    return len(passage) // 2


def _num_predicted(passage: Passage) -> int:
    return len(passage) - _half(passage)


def _group(passages: Sequence[Passage], size: int, seed: int) -> list[Group]:
    """Put passages into groups of about `size`; texts are shuffled, and the passages of each stay together."""
    by_text: dict[int, list[Passage]] = {}
    for passage in passages:
        by_text.setdefault(passage.text_id, []).append(passage)
    order = shuffled(np.arange(len(by_text)), seed, "revela").tolist()
    texts = list(by_text.values())
    row = [passage for number in order for passage in texts[number]]
    count = max(len(row) // size, 1)
    borders = [len(row) * number // count for number in range(count + 1)]
    return [row[start:end] for start, end in pairwise(borders)]
