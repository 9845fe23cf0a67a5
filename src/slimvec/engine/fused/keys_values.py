"""Keys and values of tokens that came before: what a shared prefix, or an open text, keeps."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class KeyValues:
    """Keys (rotated) and values of P tokens in all layers, at positions 0 to P - 1.

    Attributes:
        keys: [L, P, K, D] in the decoder's dtype; layers may lie apart, tokens not.
        values: [L, P, K, D].
    """

    keys: Tensor
    values: Tensor

    @property
    def length(self) -> int:
        """P."""
        return self.keys.shape[1]

    def first(self, length: int) -> "KeyValues":
        """Keep the first tokens: a view."""
        return KeyValues(self.keys[:, :length], self.values[:, :length])

    def extend(self, more: "KeyValues") -> "KeyValues":
        """Append the tokens that followed: P + Q tokens, copied."""
        return KeyValues(torch.cat([self.keys, more.keys], dim=1), torch.cat([self.values, more.values], dim=1))
