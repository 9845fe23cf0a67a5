"""Build a wheel, install it into a fresh environment, and embed there with no compiler on PATH (`make wheel-check`).

torch and the other dependencies are those of the environment that runs this, so that nothing large is installed anew.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch

from slimvec.engine.embedder import Embedder
from tests.tiny import embedding_model

ROOT = Path(__file__).resolve().parent.parent
_PROGRAM = """
import shutil, sys
assert not any(map(shutil.which, ("c++", "g++", "clang++", "cc", "gcc", "clang"))), "there is a compiler on PATH"
import slimvec
from slimvec.engine.embedder import Embedder
assert slimvec.__file__.startswith(sys.prefix), slimvec.__file__
embedder = Embedder.load(sys.argv[1], dtype="float32")
embedder.embed_queries(["the cat sat on the mat"])
assert embedder.engine == "fused/native", embedder.engine_reason
print(f"{embedder.engine} on {embedder.engine_isa}, from {slimvec.__file__}")
"""


def main() -> None:
    """Do it all in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "SLIMVEC_BUILD": "require"}
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", name, str(ROOT)]
        subprocess.run(build, check=True, env=environment)
        (wheel,) = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        python = folder / "venv" / "bin" / "python"
        install = [*pip, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
        subprocess.run(install, check=True)
        _lend_packages(python)
        torch.manual_seed(0)
        Embedder.from_model(embedding_model("llama", "causal")).save(folder / "model")
        bare = {"PATH": str(python.parent), "HOME": name, "HF_HUB_OFFLINE": "1", "SLIMVEC_CACHE": name}
        subprocess.run([python, "-c", _PROGRAM, str(folder / "model")], check=True, env=bare, cwd=name)


def _lend_packages(python: Path) -> None:
    """Let an environment see this one's packages, behind its own."""
    command = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    site = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
