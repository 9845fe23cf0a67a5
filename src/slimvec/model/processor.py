"""What the processor can do: its instruction sets, less what the environment variable `SLIMVEC_ISA` rules out."""

import os

import torch

ISA_VARIABLE = "SLIMVEC_ISA"
"""Names a target of the kernels; nothing above it is used, so that slower processors can be tried on this one."""
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instruction sets that multiply bfloat16, as torch calls them: Intel's and AMD's, AMX, Arm's."""


def forced_isa() -> str | None:
    """Give the target that `SLIMVEC_ISA` names; None where it is not set."""
    return os.environ.get(ISA_VARIABLE) or None


def instruction_sets() -> frozenset[str]:
    """Give the names of the instruction sets of this processor, as torch calls them."""
    capabilities = torch.cpu.get_capabilities()
    return frozenset(name for name, present in capabilities.items() if present is True)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16, and `SLIMVEC_ISA` does not name a target that does not."""
    forced = forced_isa()
    return (forced is None or "bf16" in forced) and not instruction_sets().isdisjoint(_BF16)
