"""What turns texts into vectors, as seen from everything that must not know how: data, training, evaluation."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slimvec.text.prompts import Role


class HasVectors(Protocol):
    """What embedding gives."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[N, D] float32 of unit length."""
        ...

    @property
    def num_truncated(self) -> int:
        """Truncated texts."""
        ...


class TextEmbedder(Protocol):
    """What turns texts into vectors; `slimvec.engine.embedder.Embedder` is one."""

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> HasVectors:
        """Embed texts in a role, and tell how many more are done."""
        ...
