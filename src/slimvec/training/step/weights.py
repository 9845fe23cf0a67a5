"""The weights that are trained: float32 copies where the model computes in less, and AdamW over them.

bf16 has 8 bits of precision: an update smaller than 1/256 of a weight would round to nothing. So each bf16 parameter
has a float32 master that the optimiser moves and the parameter follows; its gradients are summed up in float32 too.
Parameters that are float32 already are their own masters.

Weights in shares: each process keeps a part of every weight, its gradient and its moments (FSDP2).

For models that do not fit a device with all of these. A layer's weights are gathered when it runs and let go after it;
gradients come back averaged, each part to its owner. The arithmetic is that of one process.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.hooks import RemovableHandle

from slimvec.errors import TrainingError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.rebuilding import rebuild_backbone
from slimvec.training.recipe import Optim, Run
from slimvec.training.step.processes import Processes

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def shares_out(run: Run) -> bool:
    """Whether a run shares its weights out: as its recipe says, if there is anyone to share with."""
    return run.shard and Processes.current().num > 1


def share_out(model: EmbeddingModel, processes: Processes, *, dtype: torch.dtype) -> None:
    """Share a model out, in place. Its layers are gathered one at a time, what is in none of them for the whole pass.

    Args:
        model: All its weights float32 and trained: they are their own masters.
        processes: To share among.
        dtype: Data type of the weights in the products. Gradients are averaged in float32.
    """
    mesh = init_device_mesh(processes.device.type, (processes.num,))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    hf_model = model.backbone.hf_model
    layers = max((part for part in hf_model.modules() if isinstance(part, nn.ModuleList)), key=len)
    for part in (*layers, hf_model):
        fully_shard(part, mesh=mesh, mp_policy=policy)
    for part in hf_model.modules():
        if isinstance(part, FSDPModule):
            # gloo cannot average; a sum divided afterwards is the same.
            part.set_force_sum_reduction_for_comms(True)


def put_together(model: EmbeddingModel, processes: Processes, *, dtype: torch.dtype) -> None:
    """Give the main process a whole model again, on its CPU; every process must ask, and the others' stay shared out.

    Args:
        model: Shared out; in the main process its backbone is replaced.
        processes: That share it.
        dtype: Data type of the whole weights.
    """
    weights: dict[str, Tensor] = {}
    for name, parameter in model.backbone.hf_model.state_dict().items():
        gathered = whole(parameter.detach())
        if processes.is_main:
            weights[name] = gathered.cpu()
    if processes.is_main:
        model.backbone = rebuild_backbone(model.backbone, weights, dtype=dtype)


def is_shared(tensor: Tensor) -> bool:
    """Whether a tensor is shared out."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Give all of a tensor, gathered if it is shared out; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Share a whole tensor out as another one is; every process must ask. Nothing happens where the other is whole."""
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)


@dataclass(frozen=True, eq=False)
class _Weight:
    """A parameter of the model and the float32 tensor the optimiser moves; one and the same where it can be.

    `collecting` is the hook that brings gradients from one to the other, or None.
    """

    name: str
    parameter: nn.Parameter
    master: Tensor
    collecting: RemovableHandle | None = None


class TrainedWeights:
    """Masters and optimiser of a model's trainable parameters.

    Args:
        parameters: Names and parameters; frozen ones are left out.
        settings: Settings of AdamW.
        kept: Tensors that others change, by name, to be among those of a checkpoint.
        lower_to: Lower float32 parameters to this dtype first, for products with inputs of that dtype; default not.

    Raises:
        TrainingError: nothing is trainable.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        settings: Optim,
        *,
        kept: Mapping[str, Tensor] | None = None,
        lower_to: torch.dtype | None = None,
    ) -> None:
        self._kept = kept or {}
        self._weights = [_with_master(name, p, lower_to) for name, p in parameters if p.requires_grad]
        if not self._weights:
            raise TrainingError("no weight of the model is trainable", do="add an adapter or choose tuning.method=full")
        # Decay would pull norms and biases to zero, which nothing in their use asks for.
        groups = [
            {"params": chosen, "weight_decay": settings.weight_decay * is_matrix}
            for alike in self._by_sharing()
            for is_matrix in (True, False)
            if (chosen := [master for master in alike if (master.dim() >= 2) == is_matrix])
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=True)

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(weight.master.numel() for weight in self._weights)

    def average_gradients(self, processes: Processes) -> None:
        """Replace the gradients by their mean over the processes, so that all take the same step.

        Those of weights that are shared out are averaged already. A weight without gradient in one process, which
        had no texts in this step, takes part with zeros if another one has a gradient.
        """
        if processes.num == 1:
            return
        masters = [weight.master for weight in self._weights if not is_shared(weight.master)]
        present = processes.gather([master.grad is not None for master in masters])
        reached = [m for m, by_process in zip(masters, zip(*present, strict=True), strict=True) if any(by_process)]
        for master in reached:
            if master.grad is None:
                master.grad = torch.zeros_like(master)
        processes.average([master.grad for master in reached if master.grad is not None])

    def clip(self, largest: float) -> float:
        """Scale the gradients down to a norm of at most `largest` (0: leave them) and give the norm they had."""
        norms = []
        for alike in self._by_sharing():
            norms.append(whole(torch.nn.utils.get_total_norm([m.grad for m in alike if m.grad is not None])))
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        if largest:
            for alike in self._by_sharing():
                torch.nn.utils.clip_grads_with_norm_(alike, largest, norm)
        return float(norm)

    def step(self, lr: float) -> None:
        """Move the masters by AdamW, have the parameters follow, and forget the gradients."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._follow()

    def forget_gradients(self) -> None:
        """Leave a step that was begun: the weights are as they were."""
        self._optimizer.zero_grad(set_to_none=True)
        for weight in self._weights:
            weight.parameter.grad = None

    def close(self) -> None:
        """Let go of the parameters: others can train them now."""
        for weight in self._weights:
            if weight.collecting is not None:
                weight.collecting.remove()

    def tensors(self) -> dict[str, Tensor]:
        """Give everything a checkpoint needs: masters, both moments and step counts, by kind and name; all whole."""
        found = {f"kept.{name}": tensor.clone() for name, tensor in self._kept.items()}
        for weight in self._weights:
            found[f"weight.{weight.name}"] = whole(weight.master.detach())
            state = self._optimizer.state.get(weight.master, {})
            found.update({f"{kind}.{weight.name}": whole(state[kind]) for kind in _MOMENTS if kind in state})
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what `tensors` gave.

        Raises:
            TrainingError: the tensors are of another model or another tuning.
        """
        for name, kept in self._kept.items():
            kept.copy_(_saved(tensors, f"kept.{name}", kept))
        for weight in self._weights:
            saved = _saved(tensors, f"weight.{weight.name}", weight.master)
            with torch.no_grad():
                weight.master.copy_(shared_like(saved, weight.master))
            moments = {kind: tensors[key] for kind in _MOMENTS if (key := f"{kind}.{weight.name}") in tensors}
            if moments:
                self._optimizer.state[weight.master] = {
                    kind: _beside(tensor, weight.master) for kind, tensor in moments.items()
                }
        self._follow()

    def _by_sharing(self) -> list[list[Tensor]]:
        """Give the masters, those that are shared out apart from the whole ones: no operation takes both."""
        masters = [weight.master for weight in self._weights]
        parts = [[master for master in masters if is_shared(master) == shared] for shared in (False, True)]
        return [part for part in parts if part]

    def _follow(self) -> None:
        """Write the masters into the parameters that are not their own."""
        with torch.no_grad():
            for weight in self._weights:
                if weight.parameter is not weight.master:
                    weight.parameter.copy_(weight.master)


def _saved(tensors: Mapping[str, Tensor], name: str, wanted: Tensor) -> Tensor:
    """Find a tensor of a checkpoint.

    Raises:
        TrainingError: it is not there, or has another shape.
    """
    saved = tensors.get(name)
    if saved is None or saved.shape != wanted.shape:
        kind, _, rest = name.partition(".")
        found = f"no {kind}" if saved is None else f"a {kind} of {tuple(saved.shape)}"
        raise TrainingError(f"the checkpoint has {found} for {rest}", expected=f"{tuple(wanted.shape)}")
    return saved


def _beside(moment: Tensor, master: Tensor) -> Tensor:
    """Put a moment where its master is, shared out alike; a step count is whole."""
    placed = shared_like(moment, master) if moment.shape == master.shape else moment
    return placed.to(master.device).clone()


def _with_master(name: str, parameter: nn.Parameter, lower_to: torch.dtype | None) -> _Weight:
    """Give a parameter its master, and have its gradients go there."""
    exact = (torch.float32, torch.float64)
    if parameter.dtype in exact and lower_to in (None, *exact):
        return _Weight(name, parameter, parameter)
    master = parameter.detach().float().clone()
    if lower_to is not None:
        parameter.data = parameter.data.to(lower_to)

    def collect(source: Tensor) -> None:
        assert source.grad is not None
        gradient = source.grad.float()
        master.grad = gradient if master.grad is None else master.grad.add_(gradient)
        source.grad = None

    hook = parameter.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
    return _Weight(name, parameter, master, hook)
