"""The one place that decides what a model computes in: bfloat16 where the device does, float32 elsewhere.

A processor without bfloat16 emulates it, fifty times slower than float32. So `auto` asks for the instructions, and
confirms them by a short measurement, since a library can lack what the processor has. The measurement is kept in the
cache by processor and version of torch.
"""

import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from slimvec.files import sha256_of_json
from slimvec.frozen import Frozen
from slimvec.model.cache import cache_root, note, read_note
from slimvec.model.processor import has_bf16, instruction_sets

MAX_FACTOR = 1.25
"""Above this many times the time of float32, bfloat16 is slow; below, the difference is noise, and it saves memory."""
_SIDE = 256
_SECONDS = 0.05
"""Time a measurement takes at most, once each product has run twice."""


class _Measured(Frozen):
    """What was measured, and on what.

    Attributes:
        bf16_factor: Time of a product in bfloat16 by its time in float32.
        measured_for: Processor and library.
    """

    bf16_factor: float
    measured_for: list[str]


def compute_dtype(device: torch.device | None = None) -> torch.dtype:
    """Give the dtype that `auto` stands for: bfloat16 where the device computes in it, float32 elsewhere.

    Args:
        device: Default CUDA where there is one, else the CPU.
    """
    kind = device.type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    fast = bf16_is_fast() if kind == "cpu" else kind == "cuda"
    return torch.bfloat16 if fast else torch.float32


def bf16_is_fast() -> bool:
    """Whether the processor has instructions for bfloat16, and torch is not slower with them than in float32."""
    return has_bf16() and bf16_factor() <= MAX_FACTOR


def slowness(dtype: torch.dtype, device: torch.device | None = None) -> str:
    """Say by what factor a dtype that was asked for is slow; empty where it is not."""
    kind = device.type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    if dtype != torch.bfloat16 or kind != "cpu" or (factor := bf16_factor()) <= MAX_FACTOR:
        return ""
    return f"bfloat16 products take {factor:.0f} times as long as float32 on this processor"


def bf16_factor() -> float:
    """Give how many times as long as in float32 a product takes in bfloat16, on one core.

    Measured once for a processor and a version of torch, in a tenth of a second or less.
    """
    return _factor(cache_root())


@cache
def _factor(_: Path) -> float:
    described = [
        str(torch.cpu.get_capabilities().get("cpu_name")),
        hashlib.sha256(" ".join(sorted(instruction_sets())).encode()).hexdigest()[:16],
        torch.__version__,
    ]
    key = f"{sha256_of_json(described)[:16]}.json"
    found = read_note("dtypes", key, _Measured)
    if found is None:
        found = _Measured(bf16_factor=round(measure_bf16(), 2), measured_for=described)
        note("dtypes", key, found.model_dump_json())
    return found.bf16_factor


def measure_bf16(*, side: int = _SIDE, clock: Callable[[], float] = time.perf_counter) -> float:
    """Time products of two square matrices in both dtypes, in turns, and divide the best of one by the other's.

    Args:
        side: Rows and columns.
        clock: Seconds.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other, and other work on the machine decides for how long
    try:
        factors = {dtype: torch.ones(side, side, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
        best = dict.fromkeys(factors, float("inf"))
        began = clock()
        rounds = 0
        while rounds < 2 or (rounds < 8 and clock() - began < _SECONDS):  # the first round prepares the library
            for dtype, factor in factors.items():
                start = clock()
                torch.matmul(factor, factor)
                best[dtype] = min(best[dtype], clock() - start)
            rounds += 1
    finally:
        torch.set_num_threads(threads)
    return best[torch.bfloat16] / best[torch.float32]
