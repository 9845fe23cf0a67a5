"""What the parts for all libraries share: loading a model once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder


class LoadSettings(TypedDict, total=False):
    """Settings of `Embedder.load` that have a plain form, so that pipelines can be written to files."""

    dtype: str
    device: str
    revision: str
    max_tokens: int


def load(model: "str | Path | Embedder", settings: Mapping[str, Any]) -> "Embedder":
    """Load a model, unless it is loaded already.

    Raises:
        InputError: settings for a model that is loaded already, or something that is no model.
        SlimvecError: as `Embedder.load` does.
    """
    from slimvec.engine.embedder import Embedder

    if isinstance(model, Embedder):
        if settings:
            raise InputError(f"{', '.join(settings)} for a model that is loaded", expected="them in Embedder.load")
        return model
    return Embedder.load(model, **cast("LoadSettings", settings))
