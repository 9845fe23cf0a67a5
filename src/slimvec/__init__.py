"""slimvec: small language models as text-embedding models, with proof.

Nothing heavy is imported until it is used: `import slimvec` loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.text.batch import PackedBatch
    from slimvec.text.prompts import Prompts

__version__ = "0.1.0"
__all__ = ["Embedder", "PackedBatch", "Prompts", "__version__"]

_HOMES = {
    "Embedder": "slimvec.engine.embedder",
    "PackedBatch": "slimvec.text.batch",
    "Prompts": "slimvec.text.prompts",
}


def __dir__() -> list[str]:
    """List the public names, for help and completion."""
    return __all__


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'slimvec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
