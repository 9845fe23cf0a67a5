"""What every engine offers, and what it is given. Standard library and numpy only."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """One model in every form an engine may want.

    Attributes:
        source: As slimvec loads it: a built-in name or a folder.
        folder: A sentence-transformers folder with the same weights in float32.
        gguf: The same model as GGUF file, or empty when there is none.
        instruction: Written in front of queries.
        max_tokens: Longest text.
        num_threads: Threads each engine may use.
        cache: A folder where engines keep converted forms.
    """

    source: str
    folder: str
    gguf: str
    instruction: str
    max_tokens: int
    num_threads: int
    cache: str

    def cached(self, name: str) -> Path:
        """Where a converted form of this model is kept."""
        return Path(self.cache) / name


@dataclass(frozen=True, eq=False)
class Run:
    """What embedding gave.

    Attributes:
        vectors: [N, D].
        num_computed: Tokens that were run through the model, where the engine says.
    """

    vectors: Vectors
    num_computed: int | None = None


class Engine(Protocol):
    """One way to embed texts with a model."""

    def prepare(self, model: Model) -> None:
        """Convert what has to be converted once, in a process of its own, before anything is timed."""
        ...

    def load(self, model: Model) -> Mapping[str, str]:
        """Load the model; give what a reader should know: dtype, kernel, versions."""
        ...

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Embed texts as the engine does it best, each behind the instruction when `instructed`."""
        ...


class UnusableError(Exception):
    """An engine does not apply here; the message says why in one line."""


@contextmanager
def built_once(target: Path) -> Iterator[Path]:
    """Build a folder: the body fills an empty one, which becomes `target` when the body ends well.

    Two runs at once may both build; the first one done stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        building = Path(work) / target.name
        building.mkdir()
        yield building
        try:
            building.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def unit(vectors: Vectors) -> Vectors:
    """Scale rows to unit length."""
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return scaled.astype(np.float32)


def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages, by name."""
    from importlib.metadata import version

    return {package: version(package) for package in packages}
