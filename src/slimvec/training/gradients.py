"""Gradients of a loss over a whole batch, with the model run on pieces of it: exact at any batch size.

A contrastive loss couples all texts of a batch, but only through their vectors. So the vectors are computed piece by
piece, the loss and its gradient in the vectors once, and each piece is then sent backward with its rows of that
gradient (GradCache, arXiv 2101.06983). Small batches keep what the backward pass needs from the first run; larger
ones run each piece a second time, from the same random state, so that memory is bounded by one piece.

The loss sees all vectors at once, so whatever it draws or weighs is drawn and weighed once for the whole batch, and
any loss is exact. Its own memory is bounded by `slimvec.objectives.blocks`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from slimvec.objectives.losses import Losses
from slimvec.text.batch import PackedBatch
from slimvec.text.schedule import plan_batches
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.processes import Processes

Embed = Callable[[PackedBatch], Tensor]


@dataclass(frozen=True, eq=False)
class BatchGradient:
    """What is left of a batch once its gradient has been added.

    Attributes:
        losses: Total and parts, without graph.
        vectors: [N, D] in the texts' order, without graph.
    """

    losses: Losses
    vectors: Tensor


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part of the batch after its first run.

    Attributes:
        indices: Numbers of its texts.
        vectors: [n, D]; with their graph when it was kept.
        random_state: Before the run, when it has to be repeated.
    """

    indices: list[int]
    vectors: Tensor
    random_state: "RandomState | None"


def backward(
    embed: Embed,
    texts: TokenizedTexts,
    losses_of: Callable[[Tensor], Losses],
    *,
    micro_batch_tokens: int,
    graph_tokens: int,
) -> BatchGradient:
    """Add the gradient of the total loss to the `grad` of everything that `embed` and the loss are made with.

    Args:
        embed: Packed batch of n texts to vectors [n, D], differentiable.
        texts: N texts.
        losses_of: Vectors [N, D] in the texts' order to the loss.
        micro_batch_tokens: Tokens of a piece.
        graph_tokens: Batches of up to this many tokens keep their graphs; 0 never.
    """
    parts = equally_many(plan_batches(texts.lengths, token_budget=micro_batch_tokens))
    keep = not Processes.current().any(sum(texts.lengths) > graph_tokens)
    pieces = [_run(embed, texts, indices, keep=keep) for indices in parts]
    order = torch.tensor(
        [index for piece in pieces for index in piece.indices], dtype=torch.int64, device=pieces[0].vectors.device
    )
    vectors = torch.cat([piece.vectors.detach() for piece in pieces])[torch.argsort(order)].requires_grad_()
    losses = losses_of(vectors)
    losses.total.backward()  # type: ignore[no-untyped-call]
    grad = vectors.grad
    assert grad is not None
    while pieces:  # released one by one: the graph of a piece is not needed after its turn
        piece = pieces.pop(0)
        again = piece.vectors if piece.random_state is None else _repeat(embed, texts, piece)
        again.backward(grad[piece.indices])  # type: ignore[no-untyped-call]
    return BatchGradient(Losses(losses.total.detach(), losses.parts), vectors.detach())


def equally_many(parts: list[list[int]]) -> list[list[int]]:
    """Have all processes run the model equally often, as weights that are shared out ask for: the rest are empty runs.

    There is at least one, so that a process without texts learns the width of the vectors.
    """
    num_parts = max(Processes.current().largest(len(parts)), 1)
    return [*parts, *([] for _ in range(num_parts - len(parts)))]


def empty_run(embed: Embed) -> Tensor:
    """Run the model for no text, [0, D], with gradients of zero: on a single token."""
    return embed(PackedBatch.from_sequences([[0]]))[:0]


def _embed(embed: Embed, texts: TokenizedTexts, indices: list[int]) -> Tensor:
    """Embed some texts: [n, D]."""
    return embed(texts.pack(indices)) if indices else empty_run(embed)


def _run(embed: Embed, texts: TokenizedTexts, indices: list[int], *, keep: bool) -> _Piece:
    """Embed a piece for the first time."""
    if keep:
        return _Piece(indices, _embed(embed, texts, indices), None)
    state = RandomState.now()
    with torch.no_grad():
        return _Piece(indices, _embed(embed, texts, indices), state)


def _repeat(embed: Embed, texts: TokenizedTexts, piece: _Piece) -> Tensor:
    """Embed a piece again with the dropout of its first run, and leave the random state as it was found."""
    assert piece.random_state is not None
    before = RandomState.now()
    piece.random_state.restore()
    vectors = _embed(embed, texts, piece.indices)
    before.restore()
    return vectors


@dataclass(frozen=True, eq=False)
class RandomState:
    """The states of torch's random generators.

    Attributes:
        cpu: State of the CPU's generator, uint8.
        cuda: State of each CUDA device's generator, uint8.
    """

    cpu: Tensor
    cuda: tuple[Tensor, ...]

    @classmethod
    def now(cls) -> "RandomState":
        """Take them down."""
        return cls(torch.get_rng_state(), tuple(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else ())

    def restore(self) -> None:
        """Go back to them."""
        torch.set_rng_state(self.cpu)
        for index, state in enumerate(self.cuda):
            torch.cuda.set_rng_state(state, index)
