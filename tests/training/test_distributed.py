"""Two processes share a batch: loss and gradients are those of one process, for every combination of objectives."""

import json
import socket
import subprocess
import sys

import pytest
import torch

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.training.step.distributed import gather_batch, mean_over_processes, num_processes
from tests.training import combined

SHARES = {"uneven": [(0, 3), (3, 7)], "no graded pair in the first": [(0, 2), (2, 7)]}

WORKER = """
import sys, warnings
warnings.simplefilter("error")
import torch, torch.distributed as dist
from tests.training import combined
from tests.training.test_distributed import SHARES
from slimvec.training.step.distributed import mean_over_processes

rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
found = {}
for share, slices in SHARES.items():
    for name in combined.NAMES:
        step = combined.Step(name, chosen=slice(*slices[rank]))
        losses = step.run(micro_batch_tokens=40, graph_tokens=0)
        for parameter in step.gradients():
            gradient = step.gradients()[parameter]
            found[f"{share}/{name}/{parameter}"] = mean_over_processes(gradient)
        found[f"{share}/{name}/loss"] = mean_over_processes(losses.total)
        for part, value in losses.parts.items():
            found[f"{share}/{name}/part {part}"] = mean_over_processes(value)
if rank == 0:
    torch.save(found, out)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Means over two processes, by share, combination and name."""
    out = tmp_path_factory.mktemp("gloo") / "found.pt"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(port), str(out)], stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    try:
        errors = [worker.communicate(timeout=100)[1].decode() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], json.dumps(errors, indent=1)
    return torch.load(out)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", combined.NAMES)
def test_two_processes_equal_one(shared, name, share):
    step = combined.Step(name)
    losses = step.run(micro_batch_tokens=40, graph_tokens=0)
    wanted = {**step.gradients(), "loss": losses.total}
    wanted |= {f"part {part}": value for part, value in losses.parts.items()}
    prefix = f"{share}/{name}/"
    found = {key.removeprefix(prefix): value for key, value in shared.items() if key.startswith(prefix)}
    combined.compare(found, wanted)


def test_one_process_passes_through():
    assert num_processes() == 1
    batch = EmbeddedBatch(torch.eye(2), torch.eye(2))
    assert gather_batch(batch) is batch
    assert mean_over_processes(torch.tensor(3.0, requires_grad=True)).requires_grad is False
