"""What this machine is and how fast it computes: processor, instruction sets, memory, disk. Nothing that names it."""

import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from slimvec.engine.kernels.library import load_kernels

_INSTRUCTION_SETS = {
    "avx2": "avx2",
    "fma3": "fma",
    "f16c": "f16c",
    "avx_vnni": "avx-vnni",
    "avx512_f": "avx512",
    "avx512_vnni": "avx512-vnni",
    "avx512_bf16": "avx512-bf16",
    "amx_bf16": "amx-bf16",
    "amx_int8": "amx-int8",
    "neon": "neon",
    "dot": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}
"""Those that decide the speed of matrix products: torch's name and the usual one."""
_SIDES = (64, 128, 256, 512, 1024, 2048)
_COPY_BYTES = 1 << 26
_BEST_OF = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as a process finds it.

    Attributes:
        processor: Its name.
        architecture: `x86_64`, `arm64`, ...
        system: Operating system.
        cores: Cores this process may use.
        instruction_sets: Those that decide the speed of matrix products.
        gpus: Names of the GPUs that torch sees.
        memory_bytes: Memory of the machine.
        free_memory_bytes: What processes can have of it now.
    """

    processor: str
    architecture: str
    system: str
    cores: int
    instruction_sets: tuple[str, ...]
    gpus: tuple[str, ...]
    memory_bytes: int
    free_memory_bytes: int


def this_machine() -> Machine:
    """Describe this machine."""
    capabilities = torch.cpu.get_capabilities()
    memory = psutil.virtual_memory()
    return Machine(
        processor=str(capabilities.get("cpu_name") or platform.processor() or "unknown"),
        architecture=platform.machine(),
        system=platform.system(),
        cores=num_cores(),
        instruction_sets=tuple(name for key, name in _INSTRUCTION_SETS.items() if capabilities.get(key) is True),
        gpus=tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())),
        memory_bytes=int(memory.total),
        free_memory_bytes=int(memory.available),
    )


def num_cores() -> int:
    """Cores this process may use: those it is bound to, where the system binds processes."""
    process = psutil.Process()
    bound = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else 0
    return bound or psutil.cpu_count() or 1


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is, or would be made."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return shutil.disk_usage(existing).free


def product_rate(dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """Measure matrix products in GFLOP/s, on torch's threads.

    Square products grow from 64 a side to 2,048 for as long as the next is expected to end in time, so that a dtype
    that the processor emulates takes no longer than others.

    Args:
        dtype: float32 or bfloat16.
        seconds: Most time for all products together, give or take the last.
    """
    deadline, best = time.perf_counter() + seconds, 0.0
    for side in _SIDES:
        flops = 2.0 * side**3
        if best and time.perf_counter() + _BEST_OF * flops / best > deadline:
            break
        left, right = (torch.rand(side, side).to(dtype) for _ in range(2))
        out = left @ right
        best = max(best, flops / _fastest(lambda: torch.matmul(left, right, out=out)))  # noqa: B023
    return best / 1e9


def copy_rate() -> float:
    """Measure how many gigabytes are copied in a second, in memory that no cache holds."""
    source = torch.zeros(_COPY_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return _COPY_BYTES / _fastest(lambda: target.copy_(source)) / 1e9


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(_BEST_OF):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return max(min(seconds), 1e-9)


@dataclass(frozen=True, slots=True)
class DtypeSpeed:
    """How this machine computes in a dtype.

    Attributes:
        native: Whether slimvec's kernels compute in it.
        gflops: torch's matrix products, in GFLOP/s; None for int8, in which torch is not used.
        times_slower: Than float32, by those products; None where they are not measured.
    """

    native: bool
    gflops: float | None
    times_slower: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What would run, and how fast the machine is.

    Attributes:
        engine: Engine of decoders (Llama, Mistral, Qwen, Gemma) on the CPU in float32: `fused/native` or `fused/torch`.
        isa: Instruction set of the kernels, as `SLIMVEC_ISA` names it; empty where none runs.
        reason: Why nothing faster runs; empty when this is the fastest there is.
        dtypes: `float32`, `bfloat16` and `int8`.
        copy_gb_per_s: Memory copied in a second, in GB.
        num_threads: Threads torch computes with.
    """

    engine: str
    isa: str
    reason: str
    dtypes: dict[str, DtypeSpeed]
    copy_gb_per_s: float
    num_threads: int


def diagnose() -> Diagnosis:
    """See which kernels there are, and measure products and copies (about two seconds)."""
    kernels = load_kernels()
    rates = {dtype: product_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    speeds = {
        str(dtype).removeprefix("torch."): DtypeSpeed(
            dtype in kernels.dtypes, round(rate, 1), round(rates[torch.float32] / rate, 2)
        )
        for dtype, rate in rates.items()
    }
    speeds["int8"] = DtypeSpeed(torch.int8 in kernels.dtypes, None, None)
    return Diagnosis(
        engine="fused/native" if torch.float32 in kernels.dtypes else "fused/torch",
        isa=kernels.isa,
        reason=kernels.reason,
        dtypes=speeds,
        copy_gb_per_s=round(copy_rate(), 1),
        num_threads=torch.get_num_threads(),
    )
