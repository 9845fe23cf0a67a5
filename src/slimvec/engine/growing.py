"""A tensor that grows along one axis without being copied each time."""

import torch
from torch import Tensor

_SPARE = 1.5
"""New memory is this much larger than what is needed, so that n tokens, one by one, copy fewer than 3 n."""


class GrowingTensor:
    """Memory with room to spare behind what is in use. What `write` gave before is overwritten by the next call.

    Args:
        tensor: What is there.
        axis: Along which it grows.
    """

    def __init__(self, tensor: Tensor, axis: int) -> None:
        self._memory, self._axis = tensor, axis

    def write(self, start: int, more: Tensor) -> Tensor:
        """Put `more` behind the first `start` entries, and give all of them: a view."""
        axis, end = self._axis, start + more.shape[self._axis]
        if end > self._memory.shape[axis]:
            shape = list(self._memory.shape)
            shape[axis] = int(end * _SPARE)
            larger = torch.empty(shape, dtype=more.dtype)
            larger.narrow(axis, 0, start).copy_(self._memory.narrow(axis, 0, start))
            self._memory = larger
        self._memory.narrow(axis, start, more.shape[axis]).copy_(more)
        return self._memory.narrow(axis, 0, end)
