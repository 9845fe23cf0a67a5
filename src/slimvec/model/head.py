"""From pooled states to vectors: cut to the width asked for, then scaled to unit length."""

import torch.nn.functional as F
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.spec import ModelSpec


def check_dims(dims: int | None, width: int) -> None:
    """Refuse vectors wider than the model's.

    Raises:
        InputError: always then.
    """
    if dims is not None and not 1 <= dims <= width:
        raise InputError(f"dims {dims}", expected=f"1 to {width}, the model's width")


def finish(pooled: Tensor, spec: ModelSpec, dims: int | None = None) -> Tensor:
    """Turn pooled states into vectors: cut to `dims` (default the spec's), then scale to unit length.

    The first numbers carry the most where training aimed at several widths (Matryoshka, arXiv 2205.13147).

    Args:
        pooled: [B, H] float32.
        spec: The model's settings.
        dims: Width asked for.

    Returns:
        [B, dims] float32.

    Raises:
        InputError: `dims` is more than H.
    """
    width = dims or spec.dims
    check_dims(width, pooled.shape[-1])
    vectors = pooled[..., :width]
    return F.normalize(vectors, dim=-1) if spec.normalize else vectors
