"""`slimvec.json`: what a model folder says about itself beyond what other readers understand."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from slimvec.errors import ModelError
from slimvec.frozen import Frozen, checked
from slimvec.model.spec import ModelSpec

MANIFEST_NAME = "slimvec.json"
PACKAGES = ("slimvec", "torch", "transformers", "tokenizers", "peft")


class Origin(Frozen):
    """Where a model's weights started.

    Attributes:
        source: What was loaded: a built-in name, a hub name, a folder, a `.gguf` file.
        revision: Revision of a hub name.
    """

    source: str
    revision: str | None = None


class Manifest(Frozen):
    """The contents of `slimvec.json`.

    Attributes:
        format: Version of this form.
        spec: The model's settings.
        base: Where its weights started; None for a model built in memory.
        adapter: Whether the folder holds an adapter on `base` instead of whole weights.
        language_model: Whose weights predict the next token: the folder's own, whose head was saved with it, or those
            of `base`, with its head.
        training: Recipe, data hashes and result of the training, when there was one.
        versions: Packages the folder was written with.
    """

    format: Literal[1] = 1
    spec: ModelSpec
    base: Origin | None = None
    adapter: bool = False
    language_model: Literal["own", "base"] = "base"
    training: dict[str, Any] | None = None
    versions: Mapping[str, str] = {}


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a vector."""
    return {name: version(name) for name in PACKAGES}


def read_manifest(folder: Path) -> Manifest | None:
    """Read a folder's `slimvec.json`; None where there is none.

    Raises:
        ModelError: it is there and cannot be used.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    with checked(f"{path}: ", expected="a manifest of format 1", kind=ModelError):
        manifest = Manifest.model_validate_json(path.read_bytes())
    for name in ("recency", "echo"):
        if value := getattr(manifest.spec, name):
            raise ModelError(f"{path} has {name} {value}", expected="none: models are never saved with it")
    return manifest
