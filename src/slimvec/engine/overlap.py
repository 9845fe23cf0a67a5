"""Copies between host and GPU while the GPU computes: batches are issued ahead, results are fetched behind.

On the CPU everything is there at once, and the same code runs in the same order.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.text.batch import PackedBatch

_T = TypeVar("_T")
Fetch = Callable[[], NDArray[np.float32]]


def send(batch: PackedBatch, device: torch.device) -> PackedBatch:
    """Move a batch to a device; from pinned memory where that lets the copy run beside the computation."""
    return (batch.pinned() if device.type == "cuda" else batch).to(device)


def fetch_later(vectors: Tensor) -> Fetch:
    """Start copying vectors to the host; what is given waits for this copy only, not for work issued after it."""
    if vectors.device.type != "cuda":
        return vectors.cpu().numpy
    host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
    host.copy_(vectors, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def fetch() -> NDArray[np.float32]:
        copied.synchronize()
        return host.numpy()

    return fetch


def one_behind(items: Iterable[_T], *, ahead: int) -> Iterator[_T]:
    """Give items in order, each only when `ahead` more have been made, so that those are under way meanwhile."""
    waiting: deque[_T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting
