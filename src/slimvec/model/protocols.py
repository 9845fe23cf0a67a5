"""What the parts of a model must offer, so that each can be replaced by another that offers the same."""

from typing import Protocol

from torch import Tensor

from slimvec.text.batch import PackedBatch


class Backbone(Protocol):
    """What gives states: a transformers model or the fused decoder."""

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] of a batch."""
        ...
