"""The instruction is run once: its keys, values and pooled share serve every text that begins with it.

In a causal model the states of the first tokens do not depend on what follows, so texts behind the same instruction
need only their own tokens. Works under every pooling, with the instruction in the pool or left out of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.model.pooling import PooledPrefix, pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch

MIN_TOKENS = 2
"""Shorter beginnings (a lone opening token) are not worth a pass of their own."""


@dataclass(frozen=True, eq=False)
class SharedPrefix:
    """An instruction that has been run.

    Attributes:
        length: Its tokens.
        kv: Their keys and values.
        pooled: What they add to every vector, by pooling.
    """

    length: int
    kv: KeyValues
    pooled: dict[Pooling, PooledPrefix]

    @classmethod
    def run(cls, decoder: FusedDecoder, tokens: Sequence[int], poolings: Iterable[Pooling]) -> Self:
        """Run the instruction's tokens once, for any number of poolings."""
        states, kv = decoder.forward(PackedBatch.from_sequences([tokens]), return_kv=True)
        return cls(len(tokens), kv, {pooling: PooledPrefix.of(states, pooling) for pooling in poolings})

    def pool_behind(
        self, decoder: FusedDecoder, sequences: Sequence[Sequence[int]], poolings: Iterable[Pooling]
    ) -> list[Tensor]:
        """Pool texts of which only the tokens behind the instruction are given: [B, H] float32 by pooling."""
        batch = PackedBatch.from_sequences(sequences)
        states = decoder.forward(batch, self.kv)
        return [pool(states, batch, pooling, self.pooled[pooling]) for pooling in poolings]
