"""Work of a decoder for a text: the products of its linear layers, and attention. Norms and the like are left out.

A product of [m, k] with [k, n] counts 2 m k n. The vocabulary matrix does no work in an embedding model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from slimvec.engine.fused.spec import DecoderSpec


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a model.

    Attributes:
        spec: Its shapes.
        causal: Whether a token sees only what came before it.
    """

    spec: DecoderSpec
    causal: bool

    @property
    def linear(self) -> int:
        """Operations of all linear layers for one token."""
        spec = self.spec
        inner = spec.heads * spec.head_dim
        weights = spec.width * (inner + 2 * spec.kv_heads * spec.head_dim) + inner * spec.width
        return 2 * len(spec.layers) * (weights + 3 * spec.width * spec.hidden)

    def attention(self, length: int, *, shared: int = 0) -> int:
        """Operations of attention in all layers, for a text of `length` tokens behind `shared` known ones."""
        per_pair = 4 * self.spec.heads * self.spec.head_dim
        return sum(per_pair * self._pairs(length, shared, layer.window) for layer in self.spec.layers)

    def of(self, lengths: Iterable[int], *, shared: int = 0) -> int:
        """Operations of whole texts; `shared` tokens before each are known and only looked at."""
        return sum(length * self.linear + self.attention(length, shared=shared) for length in lengths)

    def _pairs(self, length: int, shared: int, window: int | None) -> int:
        """Pairs of a token and one that it sees."""
        if not self.causal:
            return sum(min(length + shared, 2 * window + 1 if window else length + shared) for _ in range(length))
        return sum(min(shared + place, window or shared + place) for place in range(1, length + 1))
