"""Environments for peers whose requirements contradict slimvec's: each gets a venv of its own in the cache.

The ONNX extra of sentence-transformers needs transformers below 4.58, its OpenVINO extra one below 5.6.
"""

import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimvec.files import atomic_file
from slimvec.model.cache import cache_root

TORCH = "torch==2.13.0"
"""Installed first and alone, so that nothing else pulls another build."""


@dataclass(frozen=True)
class PeerEnvironment:
    """What is installed.

    Attributes:
        requirements: Installed after torch, which is pinned again lest they replace it.
        removed: Uninstalled in the end.
    """

    requirements: tuple[str, ...]
    removed: tuple[str, ...] = ()


PEER_ENVIRONMENTS: Mapping[str, PeerEnvironment] = {
    "st-onnx": PeerEnvironment(("sentence-transformers[onnx]==5.3.0",)),
    # torchvision comes built for CUDA, fails beside torch for CPUs, and nothing here needs it.
    "st-openvino": PeerEnvironment(("sentence-transformers[openvino]==6.2.0",), removed=("torchvision",)),
    "infinity": PeerEnvironment(("infinity-emb[torch,server]==0.0.78",)),
}
_READY = "ready.txt"


class EnvironmentMissing(Exception):  # noqa: N818 - a state, told as a reason
    """An environment is not there; the message says how to get it."""


def bench_cache() -> Path:
    """Where environments and converted models are kept."""
    return cache_root() / "bench"


def python_of(environment: str) -> Path:
    """The interpreter of an environment; of this process for the empty name.

    Raises:
        EnvironmentMissing: it was never made, or not to its end.
    """
    if not environment:
        return Path(sys.executable)
    folder = bench_cache() / environment
    if not (folder / _READY).is_file():
        raise EnvironmentMissing("needs an environment of its own: run with --peer-venv to make it")
    return _interpreter(folder)


def make_environment(environment: str, *, say: Callable[[str], None]) -> None:
    """Make an environment unless it is there; the first time takes minutes.

    Args:
        environment: A key of `PEER_ENVIRONMENTS`.
        say: Told what is done.

    Raises:
        EnvironmentMissing: pip could not install what it needs.
    """
    folder = bench_cache() / environment
    peer = PEER_ENVIRONMENTS[environment]
    if (folder / _READY).is_file():
        return
    say(f"making the environment {environment}: {TORCH}, then {', '.join(peer.requirements)}")
    venv.create(folder, with_pip=True, clear=True)
    _pip(folder, "install", TORCH)
    _pip(folder, "install", TORCH, *peer.requirements)
    if peer.removed:
        _pip(folder, "uninstall", "--yes", *peer.removed)
    with atomic_file(folder / _READY) as temporary:
        temporary.write_text("\n".join((TORCH, *peer.requirements)) + "\n", encoding="utf-8")


def _pip(folder: Path, *arguments: str) -> None:
    """Run pip in an environment.

    Raises:
        EnvironmentMissing: it failed.
    """
    command = [str(_interpreter(folder)), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise EnvironmentMissing(f"pip {' '.join(arguments)} failed: {lines[0].removeprefix('ERROR: ')}")


def _interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
