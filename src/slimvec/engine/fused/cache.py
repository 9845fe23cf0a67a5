"""A text under way on the fused decoder: what has been run stays, and more text costs only its own tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from slimvec.engine.fused.keys_values import KeyValues
from slimvec.engine.growing import GrowingTensor
from slimvec.text.batch import PackedBatch

if TYPE_CHECKING:
    from slimvec.engine.fused.decoder import FusedDecoder


class FusedCache:
    """Keys and values of the tokens so far, with room for more.

    Args:
        decoder: Runs them; causal.
        held: Those of a text to go on with; default an empty one.

    Attributes:
        kv: Keys and values of the tokens so far: views, overwritten where a shorter beginning is extended otherwise.
    """

    def __init__(self, decoder: "FusedDecoder", held: KeyValues | None = None) -> None:
        self._decoder = decoder
        self.kv = held or empty_kv(decoder)
        self._keys, self._values = GrowingTensor(self.kv.keys, 1), GrowingTensor(self.kv.values, 1)

    @property
    def length(self) -> int:
        """Tokens so far."""
        return self.kv.length

    def keep(self, length: int) -> None:
        """Go back to the first tokens."""
        self.kv = self.kv.first(length)

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Run the tokens that follow: states [N, H] float32."""
        states, own = self._decoder.forward(PackedBatch.from_sequences([tokens]), self.kv, return_kv=True)
        self.kv = KeyValues(self._keys.write(self.length, own.keys), self._values.write(self.length, own.values))
        return states


def empty_kv(decoder: "FusedDecoder") -> KeyValues:
    """Keys and values of no tokens."""
    spec = decoder.spec
    empty = torch.empty(len(spec.layers), 0, spec.kv_heads, spec.head_dim, dtype=decoder.dtype)
    return KeyValues(empty, empty)
