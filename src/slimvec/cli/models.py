"""Loading a model for a command, with progress, and naming it in results."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from slimvec.cli.options import Role
from slimvec.cli.terminal import Terminal

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.evaluation.results import System

ROLES: tuple[Role, ...] = get_args(Role)


def load_embedder(
    terminal: Terminal,
    source: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    dims: int | None = None,
    expected: float | None = None,
) -> "Embedder":
    """Load a model, telling what is fetched and converted.

    Args:
        terminal: Shows progress.
        source: As for `Embedder.load`, whose errors these are.
        revision: Of a hub name.
        dtype: Of the weights.
        dims: Width of the vectors.
        expected: Seconds it is expected to take; default unknown.
    """
    with terminal.task(f"loading {source}", expected=expected) as task:
        from slimvec.engine.embedder import Embedder

        embedder = Embedder.load(source, revision=revision, dtype=dtype, dims=dims, progress=task.share)
    if embedder.slowness:
        terminal.remark(f"{source}: {embedder.slowness}")
    return embedder


def describe_model(embedder: "Embedder", source: str, *, revision: str | None = None) -> dict[str, Any]:
    """Say which model makes a result: its name, a hash over its weights, and how it reads texts.

    Returns:
        `source`, `revision`, `sha256` (of weights and tokenizer), `dims`, `dtype`, `engine` and `spec`.
    """
    from slimvec.model.sources import resolve_source

    return {
        "source": source,
        "revision": revision,
        "sha256": _weights_hash(resolve_source(source, revision=revision)),
        "dims": embedder.dims,
        "dtype": embedder.dtype,
        "engine": embedder.engine,
        "spec": embedder.spec.model_dump(mode="json"),
    }


def system_of(embedder: "Embedder", described: dict[str, Any]) -> "System":
    """Give a model the name and the identity that results carry.

    Args:
        embedder: The model.
        described: What `describe_model` says of it.
    """
    from slimvec.evaluation.results import System

    settings = json.dumps([described["sha256"], described["dims"], described["spec"]], sort_keys=True)
    return System(
        name=described["source"],
        identity=hashlib.sha256(settings.encode()).hexdigest(),
        dtype=embedder.dtype,
        prompts={role: embedder.spec.prompts.render(role) for role in ROLES},
    )


def _weights_hash(folder: Path) -> str:
    """SHA-256 over a model's weight files and tokenizer, in the order of their paths."""
    from slimvec.files import sha256_of

    digest = hashlib.sha256()
    patterns = ["*.safetensors", "tokenizer.json", "*/*.safetensors", "*/pytorch_model.bin"]  # the last two: a head's
    if not any(folder.glob("*.safetensors")):
        patterns.append("pytorch_model*.bin")
    for path in sorted(found for pattern in patterns for found in folder.glob(pattern)):
        digest.update(f"{path.relative_to(folder)} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
