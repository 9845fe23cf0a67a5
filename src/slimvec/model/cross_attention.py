"""Attention within each text of a packed batch, and beside it to all others, weighted text by text (arXiv 2506.16552).

    out_i = Attn(Q_i, K_i, V_i) + sum over j != i of a_ij Attn(Q_i, K_j, V_j)

The first term is the model's own attention; in the second every token of text i sees all of text j, each text with a
softmax of its own. Gradients flow to the weights a.

Legend: T tokens, B texts, A query heads, K key-value heads, D width of a head.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.model.attention import Packing, attend_packed


@dataclass(frozen=True, eq=False)
class CrossPacking:
    """How texts lie in a packed batch, and how much each sees of the others.

    Attributes:
        packing: The texts, each by itself.
        lengths: Tokens by text.
        weights: [B, B] float32, a; the diagonal is not looked at.
    """

    packing: Packing
    lengths: tuple[int, ...]
    weights: Tensor

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int | None) -> Tensor:
        """Attend by the module's formula: query [A, T, D], keys and values [K, T, D] to [T, A, D].

        A sliding window holds within a text only.
        """
        out = attend_packed(query, key, value, self.packing, scale=scale, window=window, training=True)
        sizes = torch.tensor(self.lengths, device=query.device)
        others = self.weights.to(query.device) * (1 - torch.eye(len(self.lengths), device=query.device))
        by_token = others.repeat_interleave(sizes, dim=0).to(query.dtype)  # [T, B]
        keys, values = (torch.split(x, list(self.lengths), dim=1) for x in (key, value))
        for number, (k, v) in enumerate(zip(keys, values, strict=True)):
            seen = F.scaled_dot_product_attention(
                query[None], k[None], v[None], scale=scale, enable_gqa=query.shape[0] != key.shape[0]
            )[0]
            out = out + by_token[:, number, None, None] * seen.transpose(0, 1)
        return out
