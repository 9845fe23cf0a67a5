"""What would run on this machine: the engine and the dtypes of a decoder, each with its measured speed, and why."""

from dataclasses import dataclass

import torch

from slimvec.engine.kernels.library import load_kernels
from slimvec.engine.machine import copy_rate, product_rate


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
