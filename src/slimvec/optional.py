"""Packages that only some of slimvec needs: the one place that knows which extra brings them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from slimvec.errors import InputError

EXTRAS = {
    "datasets": "hub",
    "docx": "search",
    "fastapi": "serve",
    "httpx2": "data",
    "lancedb": "search",
    "langcodes": "data",
    "mcp": "mcp",
    "mteb": "eval",
    "orjson": "serve",
    "prometheus_client": "serve",
    "py3langid": "data",
    "pypdf": "search",
    "scipy": "eval",
    "sklearn": "eval",
    "tensorboard": "log",
    "trackio": "log",
    "uvicorn": "serve",
}
"""The extra of pyproject.toml that installs a package, by the name it is imported by."""
PURPOSES = {
    "data": "languages in clean, a model behind an address in synthesize",
    "eval": "mteb's tasks and measures in evaluate, probe and compare",
    "hub": "data from the hub in recipes (hf:NAME)",
    "log": "run.loggers in recipes",
    "search": "indexes over your own documents (index, search --index)",
    "mcp": "an index as a tool for assistants (mcp)",
    "serve": "models behind an API, and a web page (serve)",
}
"""What an extra is for."""


def missing_extras() -> dict[str, tuple[str, ...]]:
    """Give the packages that are not installed, by the extra that would bring them."""
    missing: dict[str, tuple[str, ...]] = {}
    for module, extra in EXTRAS.items():
        if find_spec(module) is None:
            missing[extra] = (*missing.get(extra, ()), module)
    return missing


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
