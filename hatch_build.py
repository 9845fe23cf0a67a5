"""Build the kernels: one shared library, each target compiled from the same sources with its own flags.

As a hook of hatchling it runs when a wheel is built and at an editable install; `python hatch_build.py` builds in
place. It needs a C++20 compiler ($CXX or c++) and what comes with one, and nothing of Python's but hatchling.

Without a compiler an install still succeeds: what is missing is written beside the place of the library, and
`engine_reason` says it. `SLIMVEC_BUILD=require` makes it an error, for those who build wheels to give away.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a program, by a Python without hatchling
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
KERNELS = ROOT / "src" / "slimvec" / "engine" / "kernels"
LIBRARY = "slimvec_kernels.so"
MISSING = "slimvec_kernels.missing"
"""Beside the library's place when it could not be built: the reason, in words."""

ARM_COMPILER = "aarch64-linux-gnu-g++"
"""Debian's and Ubuntu's cross-compiler (package g++-aarch64-linux-gnu), for tests on other processors."""
EMULATION = ROOT / "tests" / "emulation"
_FLAGS = ("-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
# gcc before 12.3 warns of registers its own intrinsics leave undefined on purpose (its bug 105593).
_QUIET = ("-Wno-uninitialized", "-Wno-maybe-uninitialized")
_TARGET_UNITS = ("target.cpp", "decoder.cpp", "gradients.cpp", "attention_training.cpp", "schedule.cpp")
_COMMON_UNITS = ("api.cpp", "processor.cpp", "threads.cpp")
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


class BuildError(Exception):
    """There is no library, and why."""


@dataclass(frozen=True)
class Plan:
    """What to build.

    Attributes:
        architecture: `x86_64` or `aarch64`, a table of targets.toml.
        compiler: Path or name of the C++ compiler.
        flags: More flags for everything.
        emulated: Compile the targets above AVX2 alone and none of their instructions: they are emulated, for tests on
            other processors.
        only: Names of targets; empty for all.
    """

    architecture: str
    compiler: str
    flags: tuple[str, ...] = ()
    emulated: bool = False
    only: tuple[str, ...] = ()
    targets: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        tables = tomllib.loads((KERNELS / "targets.toml").read_text(encoding="utf-8"))
        found = tables.get(self.architecture, {})
        if not found:
            raise BuildError(f"there are no kernels for {self.architecture}")
        names = [name for name in found if name != "avx2" or not self.emulated]
        object.__setattr__(self, "targets", {n: found[n] for n in names if not self.only or n in self.only})


def this_machine() -> Plan:
    """Plan a build for the machine this runs on, or the one that cibuildwheel names by the compiler's flags.

    Raises:
        BuildError: no compiler, or a machine that there are no kernels for.
    """
    machine = platform.machine().lower()
    architecture = _ARCHITECTURES.get(machine, machine)
    if sys.platform not in ("linux", "darwin"):
        raise BuildError(f"the kernels are not built on {sys.platform}")
    named = os.environ.get("CXX", "c++").split()
    compiler = shutil.which(named[0]) if named else None
    if compiler is None:
        raise BuildError(
            "no C++ compiler (c++, or $CXX) when slimvec was installed; install one (Debian, Ubuntu: g++) and run "
            "pip install again, or take a wheel for this platform"
        )
    return Plan(architecture, compiler, tuple(named[1:]))


def sources_hash() -> str:
    """Hash of all that the library is made of; `slimvec.engine.kernels.library` computes the same."""
    digest = hashlib.sha256()
    for path in sorted(path for path in KERNELS.iterdir() if path.suffix in (".h", ".cpp", ".toml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def build(plan: Plan, library: Path) -> None:
    """Compile all targets at once, on as many cores as there are, and put the library in its place when it is done.

    Raises:
        BuildError: the compiler fails; with its own first words.
    """
    with tempfile.TemporaryDirectory(prefix="slimvec-build-") as scratch:
        folder = Path(scratch)
        lines = [f'TARGET(slimvec_target_{name}, "{" ".join(t["needs"])}")\n' for name, t in plan.targets.items()]
        (folder / "targets.inc").write_text("".join(lines), encoding="utf-8")
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            targets = [pool.submit(_target, plan, folder, name) for name in plan.targets]
            common = [pool.submit(_common, plan, folder, unit) for unit in _COMMON_UNITS]
            objects = [job.result() for job in (*targets, *common)]
        built = folder / LIBRARY
        _run([plan.compiler, *plan.flags, "-shared", "-pthread", *map(str, objects), "-ldl", "-o", str(built)])
        library.parent.mkdir(parents=True, exist_ok=True)
        staged = library.with_name(f".{library.name}.{os.getpid()}")
        shutil.copyfile(built, staged)  # a new file: a process that has the old one loaded keeps it
        staged.replace(library)


def _common(plan: Plan, folder: Path, unit: str) -> Path:
    """Compile a unit for the plainest processor."""
    target = folder / f"{unit}.o"
    defines = [f'-DSLIMVEC_SOURCES="{sources_hash()}"', *(["-DSLIMVEC_EMULATED"] if plan.emulated else [])]
    flags = [*_FLAGS, *plan.flags, *defines, f"-I{folder}"]
    _run([plan.compiler, *flags, "-c", str(KERNELS / unit), "-o", str(target)])
    return target


def _target(plan: Plan, folder: Path, name: str) -> Path:
    """Compile all units of a target into one object of which a single symbol is seen."""
    symbol, target = f"slimvec_target_{name}", folder / f"{name}.o"
    flags = [*_FLAGS, *_QUIET, *plan.flags, f"-DSLIMVEC_TARGET={name}"]
    flags += _emulation(plan.targets[name]["flags"]) if plan.emulated else plan.targets[name]["flags"]
    objects = []
    for unit in _TARGET_UNITS:
        objects.append(str(folder / f"{name}-{unit}.o"))
        _run([plan.compiler, *flags, "-c", str(KERNELS / unit), "-o", objects[-1]])
    join = [plan.compiler, *plan.flags, "-r", "-nostdlib", *objects, "-o", str(target)]
    if sys.platform == "darwin":
        _run([*join, f"-Wl,-exported_symbol,_{symbol}"])
        return target
    # Inline functions of the standard library are in every object, compiled for its target; the linker would keep one
    # of them for all. So groups of such copies are dissolved and every symbol but one is made the object's own.
    _run([*join, "-Wl,--force-group-allocation"])
    asked = subprocess.run([plan.compiler, "-print-prog-name=objcopy"], capture_output=True, text=True, check=False)
    _run([asked.stdout.strip() or "objcopy", f"--keep-global-symbol={symbol}", str(target)])
    return target


def _emulation(flags: Sequence[str]) -> list[str]:
    """Give flags that emulate instruction sets where others would use them."""
    sets = {"-mavx512vnni": "-DSLIMVEC_EMULATE_VNNI", "-mavx512bf16": "-DSLIMVEC_EMULATE_BF16"}
    more = [sets[flag] for flag in flags if flag in sets]
    header = EMULATION / ("avxvnni.h" if "-mavxvnni" in flags else "avx512.h")
    return ["-include", str(header), *more, "-w", "-mavx2", "-mfma", "-mf16c"]


def _run(command: Sequence[str]) -> None:
    """Run a tool of the compiler.

    Raises:
        BuildError: it fails, or is not there.
    """
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error
    if answer.returncode:
        lines = [line.strip() for line in answer.stderr.splitlines()]
        said = [line for line in lines if "error:" in line or "multiple definition" in line]
        raise BuildError(f"the kernels do not compile: {' / '.join(said[:3]) or answer.stderr.strip()[-300:]}")


def build_in_place(folder: Path = KERNELS) -> str:
    """Build the library for this machine, or leave a note of why there is none, which is given back.

    Raises:
        BuildError: there is none, and the environment says `SLIMVEC_BUILD=require`.
    """
    library, note = folder / LIBRARY, folder / MISSING
    try:
        build(this_machine(), library)
    except BuildError as error:
        if os.environ.get("SLIMVEC_BUILD") == "require":
            raise
        library.unlink(missing_ok=True)
        note.write_text(f"{error}\n", encoding="utf-8")
        return str(error)
    note.unlink(missing_ok=True)
    return ""


class KernelsHook(BuildHookInterface):  # type: ignore[misc]
    """Builds the kernels into a wheel, which is then one of this platform."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and say what goes into the wheel; an editable install finds it in its place."""
        if self.target_name != "wheel":
            return
        missing = build_in_place()
        if missing:
            self.app.display_warning(f"slimvec runs without its kernels, on torch alone: {missing}")
        name = MISSING if missing else LIBRARY
        build_data["artifacts"].append(f"/{(KERNELS / name).relative_to(ROOT).as_posix()}")
        if not missing and version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def main() -> int:
    """Build in place, or as the arguments say."""
    parser = argparse.ArgumentParser(description="Build slimvec's kernels in place.")
    parser.add_argument(
        "--emulated", type=Path, metavar="LIBRARY", help="AVX-512 and AVX-VNNI, emulated, into this file: tests"
    )
    parser.add_argument("--arm", type=Path, metavar="LIBRARY", help="targets of 64-bit Arm, into this file: tests")
    parser.add_argument("--target", action="append", default=[], help="only this target (with --emulated or --arm)")
    arguments = parser.parse_args()
    try:
        if arguments.emulated:
            plan = this_machine()
            build(Plan("x86_64", plan.compiler, plan.flags, True, tuple(arguments.target)), arguments.emulated)
            missing = ""
        elif arguments.arm:
            build(Plan("aarch64", ARM_COMPILER, only=tuple(arguments.target)), arguments.arm)
            missing = ""
        else:
            missing = build_in_place()
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if missing:
        sys.stderr.write(f"warning: slimvec runs without its kernels, on torch alone: {missing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
