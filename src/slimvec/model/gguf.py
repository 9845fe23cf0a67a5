"""GGUF files into model folders, in a process of its own.

Unpacked weights leave no trace in the caller's memory, the libraries' bars and warnings none on its terminal.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from slimvec.errors import ModelError, StorageError
from slimvec.model.cache import Progress

CONVERSION = 2
"""Version of what a conversion writes; a folder of another is converted again. 2: tokenizers by their splitting."""
_WORKER = "slimvec.model.gguf_conversion"


def convert_gguf(source: Path, target: Path, *, progress: Progress) -> dict[str, str]:
    """Write the weights and tokenizer of a GGUF file as a transformers folder in bfloat16.

    Args:
        source: The file.
        target: An empty folder.
        progress: Called at each step.

    Returns:
        Versions of the packages that did it.

    Raises:
        ModelError: the file is no GGUF file, of an architecture or tokenizer that is not served, or damaged.
        StorageError: the disk is full.
    """
    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(
                f"{source} does not begin as a GGUF file does", expected="a .gguf file of a language model"
            )
    command = [sys.executable, "-P", "-m", _WORKER, str(source.resolve()), str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryFile() as stderr:
        worker = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8"
        )
        with worker:
            try:
                result = _follow(worker.stdout or [], progress)
            except BaseException:
                worker.kill()
                raise
        if result is not None and "versions" in result:
            return {str(name): str(version) for name, version in result["versions"].items()}
        stderr.seek(0)
        complaint = stderr.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    message = str(result["error"]) if result else _cause_of_death(worker.returncode, complaint)
    if "No space left on device" in message:
        raise StorageError(
            f"cannot convert {source.name}: no space left on device",
            do="free some space, or point SLIMVEC_CACHE to another disk",
        )
    raise ModelError(f"{source} cannot be converted: {message}")


def _follow(lines: Iterable[str], progress: Progress) -> dict[str, dict[str, str]] | None:
    """Pass the worker's steps on until its result, or until it ends without one."""
    for line in lines:
        event = json.loads(line)
        if "step" not in event:
            found: dict[str, dict[str, str]] = event
            return found
        progress(event["step"], event["fraction"])
    return None


def _cause_of_death(returncode: int, complaint: list[str]) -> str:
    if returncode == -signal.SIGKILL:
        return "the converting process was killed; it may have run out of memory"
    return complaint[0] if complaint else f"the converting process ended with {returncode}"
