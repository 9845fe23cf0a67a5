"""Packages that only some of slimvec needs: the one place that knows which extra brings them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from slimvec.errors import InputError

EXTRAS = {
    "datasets": "hub",
    "httpx2": "data",
    "langcodes": "data",
    "py3langid": "data",
    "tensorboard": "log",
    "trackio": "log",
}
"""The extra of pyproject.toml that installs a package, by the name it is imported by."""


def require(module: str, *, purpose: str) -> Any:
    """Import a package of an extra.

    Args:
        module: Name of a package in `EXTRAS`.
        purpose: What needs it, as the subject of a sentence: `reading hf:...`.

    Returns:
        The module.

    Raises:
        InputError: it is not installed; the message names the extra. A package that is there and fails to import
            keeps its own error.
    """
    if find_spec(module) is None:
        raise InputError(
            f"{purpose} needs the package {module}, which is not installed",
            do=f"install it with pip install 'slimvec[{EXTRAS[module]}]'",
        )
    return import_module(module)
