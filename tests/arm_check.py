"""Cross-compile the kernels for 64-bit Arm and run them on emulated processors (`make arm-check`).

`tests/emulation/parity.cpp` holds every target against plain double precision, through the library's C interface. On
a processor that has a target's instructions that target has to run, and on one that lacks them it has to be left out.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64": "qemu-user"}
"""Programs that are needed, and the packages of Debian and Ubuntu that hold them."""
PROCESSORS = {
    "max": ("neon_bf16", "neon_dotprod", "neon"),
    "cortex-a76": ("neon_dotprod", "neon"),
    "cortex-a53": ("neon",),
}
"""Processors of qemu, and the targets that run on them."""
_SYSTEM = "/usr/aarch64-linux-gnu"


def missing_packages() -> list[str]:
    """Name the packages that have to be installed."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def check(folder: Path, targets: tuple[str, ...] = PROCESSORS["max"]) -> bool:
    """Build into a folder and run everything; True where all is well.

    Raises:
        subprocess.CalledProcessError: something does not compile.
    """
    library, program = folder / "slimvec_kernels.so", folder / "parity"
    only = [part for name in targets for part in ("--target", name)]
    subprocess.run([sys.executable, ROOT / "hatch_build.py", "--arm", library, *only], check=True)
    compiler = ["aarch64-linux-gnu-g++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror"]
    source = ROOT / "tests" / "emulation" / "parity.cpp"
    subprocess.run([*compiler, source, library, "-Wl,-rpath,$ORIGIN", "-o", program], check=True)
    good = True
    for processor, runs in PROCESSORS.items():
        expected = [name for name in runs if name in targets]
        print(f"on {processor}: {', '.join(expected)}", flush=True)
        command = ["qemu-aarch64", "-cpu", processor, "-L", _SYSTEM, program, *expected]
        good &= subprocess.run(command, check=False).returncode == 0
    return good


def main() -> int:
    """Do it all under build/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "arm", help="for what is built")
    arguments = parser.parse_args()
    missing = missing_packages()
    if missing:
        sys.stderr.write(f"error: {' and '.join(missing)} not found; run apt-get install {' '.join(missing)}\n")
        return 1
    arguments.folder.mkdir(parents=True, exist_ok=True)
    return 0 if check(arguments.folder) else 1


if __name__ == "__main__":
    sys.exit(main())
