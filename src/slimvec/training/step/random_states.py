"""The random states of all processes in a checkpoint, so that a resumed run draws what it would have drawn."""

from collections.abc import Mapping

import torch
from torch import Tensor

from slimvec.training.step.gradients import RandomState
from slimvec.training.step.processes import Processes


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
