"""A loss by rows in blocks of rows: the memory of one block of similarities, with the gradient of all.

2,048 pairs with 7 negatives have 2,048 x 16,384 similarities, and a loss keeps several tensors of that size for its
backward pass. In blocks, each computed again when its gradient is asked for, only one block exists at a time.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK_ELEMENTS = 2**22
"""Similarities in a block: 16 MB in float32, and batches of a hundred pairs stay whole."""


def over_rows(
    function: Callable[[slice], Tensor], rows: slice, *, width: int, block_elements: int = BLOCK_ELEMENTS
) -> Tensor:
    """Apply a function of rows to rows, block by block.

    Args:
        function: Rows, n of them, to [n]. It must not draw anything: it may run twice.
        rows: All R of them, with a start and a stop.
        width: How many numbers a row has in its largest tensors.
        block_elements: Rows times width in a block, at most; a block has at least one row.

    Returns:
        [R].
    """
    size = max(1, block_elements // max(width, 1))
    if rows.stop - rows.start <= size:
        return function(rows)
    starts = range(rows.start, rows.stop, size)
    blocks = [slice(start, min(start + size, rows.stop)) for start in starts]
    parts = [checkpoint(function, block, use_reentrant=False, preserve_rng_state=False) for block in blocks]
    return torch.cat(parts)
