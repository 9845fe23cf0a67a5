"""Gradients of a loss over a whole batch, with the model run on pieces of it: exact at any batch size.

A contrastive loss couples all texts of a batch, but only through their vectors. So the vectors are computed piece by
piece, the loss and its gradient in the vectors once, and each piece is then sent backward with its rows of that
gradient (GradCache, arXiv 2101.06983). Small batches keep what the backward pass needs from the first run; larger
ones run each piece a second time, from the same random state, so that memory is bounded by one piece.

The loss sees all vectors at once, so whatever it draws or weighs is drawn and weighed once for the whole batch, and
any loss is exact. Its own memory is bounded by `slimvec.objectives.losses`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.objectives.losses import Losses
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.tokenizer import TokenizedTexts
from slimvec.training.step.processes import Processes

Embed = Callable[[PackedBatch], Tensor]


@dataclass(frozen=True, eq=False)
class Output:
    """What a run of the model on a piece of a batch gives.

    Attributes:
        vectors: [n, D].
        own_loss: Gives a loss of this piece alone, which is added to that of the whole batch: asked for once, just
            before the piece is sent backward, so that what it needs is there for no longer. None for none.
    """

    vectors: Tensor
    own_loss: Callable[[], Tensor] | None = None


Run = Callable[[], Output]
"""Runs the model on a piece of a batch. Called again, from the same random state, it gives the same."""


@dataclass(frozen=True, eq=False)
class BatchGradient:
    """What is left of a batch once its gradient has been added.

    Attributes:
        losses: Total and parts, without graph; the pieces' own losses are not among them.
        vectors: [N, D] in the order of the texts or runs, without graph.
        own_loss: Sum of the pieces' own losses.
    """

    losses: Losses
    vectors: Tensor
    own_loss: float = 0.0


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part of the batch after its first run.

    Attributes:
        run: Gives it again.
        output: With its graph when it was kept.
        random_state: Before the run, when it has to be repeated.
    """

    run: Run
    output: Output
    random_state: "RandomState | None"

    @classmethod
    def first(cls, run: Run, *, keep: bool) -> "_Piece":
        """Run a piece for the first time."""
        if keep:
            return cls(run, run(), None)
        state = RandomState.now()
        with torch.no_grad():
            return cls(run, Output(run().vectors), state)

    def again(self) -> Output:
        """Give the piece with its graph: as it was kept, or from a second run that leaves the random state as it is."""
        if self.random_state is None:
            return self.output
        before = RandomState.now()
        self.random_state.restore()
        output = self.run()
        before.restore()
        return output


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
    order = torch.argsort(torch.tensor([index for indices in parts for index in indices], dtype=torch.int64))

    def run(indices: list[int]) -> Output:
        return Output(embed(texts.pack(indices)) if indices else empty_run(embed))

    found = backward_runs(
        [partial(run, indices) for indices in parts],
        lambda vectors: losses_of(vectors[order.to(vectors.device)]),
        keep=sum(texts.lengths) <= graph_tokens,
    )
    return replace(found, vectors=found.vectors[order.to(found.vectors.device)])


def backward_runs(runs: Sequence[Run], losses_of: Callable[[Tensor], Losses], *, keep: bool) -> BatchGradient:
    """Add the gradient of a loss of all vectors, and of the pieces' own losses, to the `grad` of all they depend on.

    Args:
        runs: Runs of the model, equally many in all processes.
        losses_of: Vectors [N, D] of all runs, in their order, to the loss.
        keep: Whether this process has room for the graphs of all runs; they are kept if all processes have.
    """
    keep = not Processes.current().any(not keep)
    pieces = [_Piece.first(run, keep=keep) for run in runs]
    vectors = torch.cat([piece.output.vectors.detach() for piece in pieces]).requires_grad_()
    losses = losses_of(vectors)
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    grads = list(torch.split(vectors.grad, [len(piece.output.vectors) for piece in pieces]))
    own = 0.0
    while pieces:  # released one by one: the graph of a piece is not needed after its turn
        output, grad = pieces.pop(0).again(), grads.pop(0)
        if output.own_loss is None:
            output.vectors.backward(grad)  # type: ignore[no-untyped-call]
            continue
        loss = output.own_loss()
        own += float(loss.detach())
        torch.autograd.backward([output.vectors, loss], [grad, torch.ones_like(loss)])
    return BatchGradient(Losses(losses.total.detach(), losses.parts), vectors.detach(), own)


def equally_many(parts: list[list[int]]) -> list[list[int]]:
    """Have all processes run the model equally often, as weights that are shared out ask for: the rest are empty runs.

    There is at least one, so that a process without texts learns the width of the vectors.
    """
    num_parts = max(Processes.current().largest(len(parts)), 1)
    return [*parts, *([] for _ in range(num_parts - len(parts)))]


def with_gradient(total: Tensor, vectors: Tensor, units: Tensor) -> Tensor:
    """Give a loss of the same value, whose gradient in the vectors has what was found in their unit vectors too.

    Args:
        total: A loss.
        vectors: [N, D].
        units: [N, D], the same of length 1 and without graph; its `grad` is what was found, None for nothing.
    """
    if units.grad is None:
        return total
    term = (F.normalize(vectors, dim=-1) * units.grad).sum()
    return total + term - term.detach()


def empty_run(embed: Embed) -> Tensor:
    """Run the model for no text, [0, D], with gradients of zero: on a single token."""
    return embed(PackedBatch.from_sequences([[0]]))[:0]


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


def random_tensors(processes: Processes) -> dict[str, Tensor]:
    """Give the random states of all processes by name: `random.RANK.cpu`, and `random.RANK.cuda.DEVICE`."""
    now = RandomState.now()
    found: dict[str, Tensor] = {}
    for rank, (cpu, cuda) in enumerate(processes.gather((now.cpu, now.cuda))):
        found[f"random.{rank}.cpu"] = cpu
        found |= {f"random.{rank}.cuda.{device}": state for device, state in enumerate(cuda)}
    return found


def restore_random(tensors: Mapping[str, Tensor], processes: Processes, *, seed: int, step: int) -> None:
    """Go back to this process's random state in a checkpoint.

    A run that goes on with other processes or devices cannot draw what it would have drawn; its generators start
    anew, from seed, step and rank.
    """
    found = {name: state for name, state in tensors.items() if name.startswith(f"random.{processes.rank}.")}
    devices = sorted((name for name in found if ".cuda." in name), key=lambda name: int(name.rpartition(".")[2]))
    cuda = [found[name] for name in devices]
    num_saved = sum(name.startswith("random.") and name.endswith(".cpu") for name in tensors)
    if (num_saved, len(cuda)) != (processes.num, torch.cuda.device_count()):
        torch.manual_seed(seed + 1_000_003 * step + processes.rank)
        return
    RandomState(found[f"random.{processes.rank}.cpu"], tuple(cuda)).restore()
