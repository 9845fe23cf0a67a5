"""Weights in shares: each process keeps a part of every weight, its gradient and its moments (FSDP2).

For models that do not fit a device with all of these. A layer's weights are gathered when it runs and let go after it;
gradients come back averaged, each part to its owner. The arithmetic is that of one process.
"""

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.rebuilding import rebuild_backbone
from slimvec.training.recipe import Run
from slimvec.training.step.processes import Processes


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
