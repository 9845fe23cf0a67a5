"""What machine this is: processor, cores, what it computes in, memory, versions. Nothing that names it."""

import platform
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from slimvec.engine.machine import num_cores

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


class Machine(BaseModel):
    """A machine.

    Attributes:
        cpu: Name of the processor.
        family: Its family, model and stepping, where the name is vague.
        physical_cores: Cores.
        logical_cores: Threads they run.
        flags: Those that decide the speed of matrix products.
        memory_gb: Memory.
        system: Operating system and architecture.
        python: Version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    family: str
    physical_cores: int
    logical_cores: int
    flags: tuple[str, ...]
    memory_gb: float
    system: str
    python: str


def this_machine() -> Machine:
    """Describe this machine."""
    facts = _cpu_facts()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return Machine(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        family="/".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts),
        physical_cores=psutil.cpu_count(logical=False) or 1,
        logical_cores=num_cores(),
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _cpu_facts() -> dict[str, str]:
    """The first processor in /proc/cpuinfo; empty where there is no such file."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}
