"""The processes of one run, as `torchrun` or `accelerate launch` starts them, and what they have to agree on.

Every process holds the whole plan and takes its slice of each batch. What may differ between them (a signal, the time,
a file that only one can see) is agreed on, so that all of them take the same steps and stop at the same one. Without a
launcher there is one process, and everything here passes its argument through.
"""

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from slimvec.errors import PeerError, SlimvecError, TrainingError
from slimvec.launch import launched

T = TypeVar("T")

PATIENCE = datetime.timedelta(hours=1)
"""How long a process waits for the others: the first one may have to fetch a model."""
BUCKET_ELEMENTS = 1 << 24
"""Numbers averaged in one message, 64 MB in float32: large enough for the network, small beside the model."""
_FAILURE = "slimvec.failure"


@dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
        rank: Number of this process.
        num: Number of processes.
        device: Where this process computes.
    """

    rank: int
    num: int
    device: torch.device

    @classmethod
    def current(cls) -> "Processes":
        """Look around."""
        device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
        if not (dist.is_available() and dist.is_initialized()):
            return cls(0, 1, device)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Tell whether any process says yes."""
        return self.largest(int(flag)) > 0

    def largest(self, number: int) -> int:
        """Give the largest number that a process has."""
        if self.num == 1:
            return number
        found = torch.tensor([number])
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def add(self, numbers: Sequence[float]) -> list[float]:
        """Add up numbers over the processes, each by itself."""
        if self.num == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(number) for number in total]

    def on_main(self, work: Callable[[], object]) -> None:
        """Have the main process do something, and wait for it."""
        if self.is_main:
            work()
        self.from_main(None)

    def from_main(self, value: T) -> T:
        """Give all processes what the main one has."""
        if self.num == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def gather(self, value: T) -> list[T]:
        """Give all processes what each has, in the order of their ranks."""
        if self.num == 1:
            return [value]
        found: list[Any] = [None] * self.num
        dist.all_gather_object(found, value)
        return found

    def shared(self, clock: Callable[[], float]) -> Callable[[], float]:
        """Make a clock that shows the main process's time; all processes must read it equally often."""
        return clock if self.num == 1 else lambda: self.from_main(clock())

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process go through the block before the others do, who find done what it did."""
        if not self.is_main:
            self.from_main(None)
        yield
        if self.is_main:
            self.from_main(None)

    def check_same(self, what: str, value: str) -> None:
        """See that all processes have the same of something.

        Raises:
            TrainingError: they have not.
        """
        others = [rank for rank, other in enumerate(self.gather(value)) if other != value]
        if others:
            raise TrainingError(
                f"processes {self.rank} and {others[0]} differ in {what}",
                expected="the same data, recipe and versions of the packages everywhere",
            )

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, which have equal shapes everywhere, by their mean over the processes, in place."""
        if self.num == 1:
            return
        bucket: list[Tensor] = []
        for number, tensor in enumerate(tensors, start=1):
            bucket.append(tensor)
            if number == len(tensors) or sum(t.numel() for t in bucket) >= BUCKET_ELEMENTS:
                self._average_bucket(bucket)
                bucket = []

    def _average_bucket(self, tensors: Sequence[Tensor]) -> None:
        """Average some tensors in one message for each dtype."""
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.flatten() for tensor in alike])
            dist.all_reduce(flat)
            flat /= self.num
            parts = torch.split(flat, [tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


@contextmanager
def started() -> Iterator[Processes]:
    """Join the processes of the launcher for the length of the block; a block within another one changes nothing.

    Where one process fails the others cannot go on. The first to fail tells why; the rest end with `PeerError`.

    Raises:
        PeerError: another process failed.
    """
    launch = launched()
    if launch.num == 1 or dist.is_initialized():
        yield Processes.current()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(launch.local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    processes = Processes.current()
    store = _open_store(processes)
    try:
        yield processes
    except (Exception, KeyboardInterrupt) as error:
        if not _is_first(store, processes.rank, error):
            raise PeerError("another process of this run failed", do="see its message") from error
        raise
    finally:
        dist.destroy_process_group()


def _open_store(processes: Processes) -> Any:
    """Open the place where the first process to fail says so: the main process keeps it."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, store = os.environ.get("MASTER_ADDR", "localhost"), None
    if processes.is_main:
        store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
    port = processes.from_main(store.port if store else 0)
    return store or TCPStore(host, port, is_master=False, wait_for_workers=False)


def _is_first(store: Any, rank: int, error: BaseException) -> bool:
    """Whether this process is the first to fail; it says so to the others."""
    claim = f"{rank}: {type(error).__name__}".encode()
    try:
        return bytes(store.compare_set(_FAILURE, "", claim.decode())) == claim
    except (RuntimeError, dist.DistError):  # the process that keeps the store is gone, so it was the first
        return isinstance(error, SlimvecError)
