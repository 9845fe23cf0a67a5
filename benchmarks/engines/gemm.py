"""The machine's own peak: the best time of a large square product, by torch, in what the processor computes in."""

import time

_SIDE = 2048
_BEST_OF = 8


def gemm_peaks(num_threads: int, *, side: int = _SIDE, best_of: int = _BEST_OF) -> dict[str, float]:
    """GFLOP/s by dtype; bfloat16 is among them only where the processor computes in it.

    Args:
        num_threads: Number of torch threads.
        side: Rows and columns of both factors.
        best_of: How often each product is timed, after one that is not.
    """
    import torch

    from slimvec.model.dtypes import bf16_is_fast

    torch.set_num_threads(num_threads)
    dtypes = [torch.float32, *([torch.bfloat16] if bf16_is_fast() else [])]
    return {str(dtype).removeprefix("torch."): _peak(dtype, side, best_of) for dtype in dtypes}


def _peak(dtype: object, side: int, best_of: int) -> float:
    import torch

    left = torch.randn(side, side).to(dtype)  # type: ignore[call-overload]
    right = torch.randn(side, side).to(dtype)  # type: ignore[call-overload]
    out = left @ right
    seconds = []
    for _ in range(best_of):
        start = time.perf_counter()
        torch.matmul(left, right, out=out)
        seconds.append(time.perf_counter() - start)
    return float(2 * side**3 / min(seconds) / 1e9)
