"""Reconstruction of each text of a pair from the vector of the other one (Anchor, arXiv 2509.03020).

The model itself is the decoder: a learnt matrix M turns the vector v of one text into a soft token, which stands before
the other text x_1 ... x_n, and the language-model head W predicts x_1 ... x_n:

    e_0 = M v,  e_t = embedding of x_t, or of the mask token with probability `drop`
    s   = states of e_0 ... e_{n-1}
    R(x | v) = sum over t of -log softmax(W s_{t-1})[x_t]
    L = query_weight * mean R(query | document's vector) + document_weight * mean R(document | query's vector)

The means are over tokens. With half of its input masked the decoder has to read the vector. Vectors are the step's own,
so that gradients reach the texts they come from through the gradient cache as those of any other loss do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.lm_head import LMHead
from slimvec.objectives.losses import Losses
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.recipe.objectives import Anchor
from slimvec.training.step.gradients import with_gradient
from slimvec.training.step.prediction import mask_id
from slimvec.training.step.processes import Processes

PARTS = ("query-from-document", "document-from-query")


@dataclass(frozen=True)
class _Job:
    """A text to be predicted, and the vector that is given.

    Attributes:
        part: Name of the part of the loss.
        ids: The text's own tokens, n of them.
        row: Which vector.
        share: Weight of each of its tokens in the mean.
        draw: Names what is dropped, alike in any process.
    """

    part: str
    ids: list[int]
    row: int
    share: float
    draw: tuple[int, int]


class Reconstruction:
    """Adds the gradient of the module's loss to a step over pairs.

    Args:
        model: Trained; its attention is causal and none of its layers is run by anything else.
        head: Its language-model head.
        settings: Weights and share of dropped tokens.
        micro_batch_tokens: Tokens run at once.
        seed: Random seed for M and for what is dropped.
    """

    def __init__(
        self, model: EmbeddingModel, head: LMHead, settings: Anchor, *, micro_batch_tokens: int, seed: int
    ) -> None:
        self._model, self._head, self._settings = model, head, settings
        self._micro_batch_tokens, self._seed = micro_batch_tokens, seed
        self._mask = mask_id(model.tokenizer.backend, None)
        embedding = model.backbone.hf_model.get_input_embeddings()
        with torch.no_grad():
            usual = embedding(torch.arange(0, embedding.weight.shape[0], 97, device=model.device)).float().norm(dim=-1)
        width = model.backbone.dims
        drawn = torch.randn(width, model.dims, generator=torch.Generator().manual_seed(seed))
        # A unit vector gives a soft token about as long as the embeddings of tokens are.
        self.matrix = nn.Parameter((drawn * float(usual.mean()) / width**0.5).to(model.device))

    def add(self, losses: Losses, vectors: Tensor, texts: TokenizedTexts, *, step: int, rows: Sequence[int]) -> Losses:
        """Give the losses of a step with this one added.

        Its gradient in the model and in M is added at once, piece by piece; that in the vectors comes when the total is
        sent backward.

        Args:
            losses: Those of the vectors.
            vectors: [N, D] of the step's texts: B queries, B documents, and others that are not looked at.
            texts: The step's texts.
            step: Number of the step.
            rows: [B], numbers of the pairs among all, which decide what is dropped.
        """
        units = F.normalize(vectors.detach(), dim=-1).requires_grad_()
        jobs = self._jobs(texts, rows)
        sums = dict.fromkeys(PARTS, 0.0)
        for part in plan_batches([len(job.ids) for job in jobs], token_budget=self._micro_batch_tokens):
            chosen = [jobs[index] for index in part]
            means = self._predict(chosen, units, step)
            weights = units.new_tensor([self._weight(job.part) for job in chosen])
            (means * weights).sum().backward()  # type: ignore[no-untyped-call]
            for job, mean in zip(chosen, means.tolist(), strict=True):
                sums[job.part] += mean
        parts = {name: vectors.new_tensor(mean) for name, mean in sums.items()}
        value = sum(self._weight(name) * part for name, part in parts.items())
        total = (0.0 if self._settings.alone else 1.0) * losses.total + value
        return Losses(with_gradient(total, vectors, units), {**losses.parts, **parts})

    def _weight(self, part: str) -> float:
        return self._settings.query_weight if part == "query-from-document" else self._settings.document_weight

    def _jobs(self, texts: TokenizedTexts, rows: Sequence[int]) -> list[_Job]:
        """Give the texts to predict, each query and its document; prompts are left out.

        The gradients of all processes are averaged, so each scales its share up by their number.
        """
        pairs, processes = len(rows), Processes.current()
        own = [ids[prefix:] for ids, prefix in zip(texts.sequences, texts.prefix_lengths, strict=True)]
        totals = processes.add([sum(map(len, own[:pairs])), sum(map(len, own[pairs : 2 * pairs]))])
        return [
            _Job(part, own[side * pairs + i], (1 - side) * pairs + i, processes.num / totals[side], (row, side))
            for i, row in enumerate(rows)
            for side, part in enumerate(PARTS)
        ]

    def _predict(self, jobs: Sequence[_Job], units: Tensor, step: int) -> Tensor:
        """Give each text's share of the mean loss, differentiable in the model, M and the vectors: [n]."""
        rows = []
        for job in jobs:
            dice = np.random.Generator(np.random.PCG64([self._seed, step, *job.draw]))
            dropped = dice.random(len(job.ids)) < self._settings.drop
            seen = [self._mask if gone else token for token, gone in zip(job.ids, dropped, strict=True)]
            rows.append([self._mask, *seen[:-1]])  # the first place is the soft token's
        batch = PackedBatch.from_sequences(rows)
        soft = F.linear(units[[job.row for job in jobs]], self.matrix.to(units.dtype))
        with soft_tokens(self._model.backbone.hf_model.get_input_embeddings(), batch.cu_seqlens[:-1].long(), soft):
            states = self._model.backbone(batch)
        parts = torch.split(states, list(batch.lengths))
        each = (job.share * self._head.loss(part, torch.tensor(job.ids)) for job, part in zip(jobs, parts, strict=True))
        return torch.stack(list(each))


@contextmanager
def soft_tokens(embedding: nn.Module, places: Tensor, soft: Tensor) -> Iterator[None]:
    """Put vectors in the place of tokens' embeddings within the block.

    Args:
        embedding: The model's; it is given [1, T] ids.
        places: [n] int64, which tokens.
        soft: [n, H].
    """

    def put(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return output.index_copy(1, places.to(output.device), soft.to(output.dtype)[None])

    hook = embedding.register_forward_hook(put)
    try:
        yield
    finally:
        hook.remove()
