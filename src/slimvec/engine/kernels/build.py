"""Compile the C++ kernels once through torch's own extension loader, and load them from the cache ever after.

The library lies in `$SLIMVEC_KERNELS/KEY/` (default `$SLIMVEC_CACHE/kernels`), where KEY is a hash of the sources, the
flags, torch and the compiler, so a changed source or another processor never meets an old library. It is built in a
temporary folder that is renamed when it is done, under a lock: two processes at once build it once, a killed one leaves
nothing that is read.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from slimvec.errors import StorageError
from slimvec.files import atomic_folder, remove_partial, storage_errors
from slimvec.model.cache import cache_root

_NAME = "slimvec_kernels"
_SOURCES = Path(__file__).parent
_NEEDED = ("avx512_f", "avx512_bw", "avx512_vl", "avx512_dq", "fma3")
# gcc before 12.3 warns of registers its own intrinsics leave undefined on purpose (its bug 105593).
_WARNINGS = ("-Wall", "-Wextra", "-Wno-uninitialized", "-Wno-maybe-uninitialized")
_OPTIONAL = {"avx512_bf16": "-mavx512bf16", "avx512_vnni": "-mavx512vnni"}
_FLAGS = ("-O2", "-fopenmp", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c")


Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Kernels:
    """Whether the compiled kernels can be used.

    Attributes:
        dtypes: Weight dtypes they compute in; empty when there are none. int8 comes with either of the others.
        reason: Why a dtype is missing, in words; empty when none is.
    """

    dtypes: tuple[torch.dtype, ...]
    reason: str


@cache
def load_kernels() -> Kernels:
    """Load the kernels, compiled first where they are not in the cache (about 15 seconds, once a machine).

    The environment variable `SLIMVEC_KERNELS` names another folder to keep them in, or says `off`. Never fails for
    what a machine lacks, a cache that can be written among it: that is the `reason` of the answer.
    `torch.ops.slimvec.decode` exists afterwards if any dtype is served.
    """
    library = compile_kernels()
    if isinstance(library, str):
        return Kernels((), library)
    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    served = {"avx512_bf16": torch.bfloat16, "avx512_vnni": torch.int8}
    missing = [name for name in served if name not in _processor()]
    dtypes = (torch.float32, *(dtype for name, dtype in served.items() if name not in missing))
    return Kernels(dtypes, f"the processor has no {', '.join(missing)}" if missing else "")


def kernels_loaded() -> bool:
    """Whether this process has them: it keeps its copy, wherever the cache is by then."""
    return load_kernels.cache_info().currsize > 0


def compile_kernels(tell: Tell | None = None) -> Path | str:
    """Give the library, compiled where it is not in the cache, or the reason why there can be none.

    Args:
        tell: Told before the compiler runs, so that nobody wonders what takes so long.
    """
    if os.environ.get("SLIMVEC_KERNELS") == "off":
        return "SLIMVEC_KERNELS=off"
    processor = _processor()
    missing = [name for name in _NEEDED if name not in processor]
    if missing:
        return f"the processor has no {', '.join(missing)}"
    more = [flag for name, flag in _OPTIONAL.items() if name in processor]
    try:
        return _library((*_FLAGS, *_WARNINGS, *more), tell)
    except StorageError as error:
        return str(error)


def _processor() -> frozenset[str]:
    """Names of the instruction sets of this processor."""
    capabilities = torch.cpu.get_capabilities()
    return frozenset(name for name, present in capabilities.items() if present is True)


def _library(flags: tuple[str, ...], tell: Tell | None) -> Path | str:
    """Give the compiled library, or the reason why there is none."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    version = _version(compiler) if compiler else ""
    folder = _home() / _key(flags, version)
    library = folder / f"{_NAME}.so"
    if library.is_file():
        return library
    if not sys.platform.startswith("linux"):
        return f"the kernels are not built on {sys.platform}"
    if not version:
        return "no C++ compiler (c++, or $CXX)"
    if shutil.which("ninja") is None and not _add_ninja_to_path():
        return "no ninja to build with"
    lock = folder.with_suffix(".lock")
    with storage_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if library.is_file():
            return library
        remove_partial(folder)
        if tell is not None:
            tell("compiling kernels for this processor, once", None)
        failure = _compile(folder, flags)
    return failure or library


def _home() -> Path:
    """Folder of compiled kernels."""
    named = os.environ.get("SLIMVEC_KERNELS")
    return Path(named).expanduser() if named else cache_root() / "kernels"


def _add_ninja_to_path() -> bool:
    """Let torch find the ninja that pip installed beside this Python, where the environment is not activated."""
    scripts = Path(sys.executable).parent
    if not (scripts / "ninja").is_file():
        return False
    os.environ["PATH"] = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
    return True


def _version(compiler: str) -> str:
    """First line of what a compiler says of itself; empty when it does not run."""
    try:
        answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.partition("\n")[0]


def _key(flags: tuple[str, ...], compiler: str) -> str:
    digest = hashlib.sha256()
    for part in (*flags, compiler, torch.__version__, sys.version):
        digest.update(part.encode() + b"\0")
    for path in sorted(_SOURCES.glob("*.h")) + _translation_units():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def _translation_units() -> list[Path]:
    return sorted(_SOURCES.glob("*.cpp"))


def _compile(folder: Path, flags: tuple[str, ...]) -> str | None:
    """Compile into a folder of the cache; gives the reason when that fails, with the compiler's own first words."""
    from torch.utils import cpp_extension

    try:
        with atomic_folder(folder) as staged:
            # Without -fopenmp for the linker, so that OpenMP comes from torch: one pool of threads, not two.
            cpp_extension.load(
                _NAME,
                [str(path) for path in _translation_units()],
                extra_cflags=list(flags),
                build_directory=str(staged),
                is_python_module=False,
            )
            for leftover in staged.iterdir():
                if leftover.suffix != ".so":
                    leftover.unlink()
    except RuntimeError as error:  # what the loader raises when the compiler fails
        lines = [line.strip() for line in str(error).splitlines() if "error" in line.lower()]
        return f"the kernels do not compile: {' / '.join(lines[:3]) or error}"
    return None
