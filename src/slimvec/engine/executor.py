"""Runs batches of token sequences: the one place where `Embedder` and the server's scheduler meet the backbone.

A prompt that many texts share is run once and kept; one thread at a time computes, whoever asks.

The instruction is run once: its keys, values and pooled share serve every text that begins with it.

In a causal model the states of the first tokens do not depend on what follows, so texts behind the same instruction
need only their own tokens. Works under every pooling, with the instruction in the pool or left out of it.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

import torch
from torch import Tensor

from slimvec.engine.calibration import DEFAULT_BUDGET
from slimvec.engine.calibration import token_budget as calibrated_budget
from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.engine.loading import LoadedEngine
from slimvec.engine.overlap import send
from slimvec.model.head import Head
from slimvec.model.pooling import PooledPrefix, pool
from slimvec.model.spec import ModelSpec, Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer

MIN_TOKENS = 2
"""Shorter beginnings (a lone opening token) are not worth a pass of their own."""
_MAX_PREFIXES = 16
_GPU_BUDGET = 1 << 16
"""A GPU takes whole blocks; memory, not speed, is the limit."""


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


class Executor:
    """An engine with its model's tokenizer, pooling and head, for one thread at a time.

    Args:
        engine: Runs batches.
        tokenizer: The model's.
        head: The layers behind its pooling, on the engine's device.
        spec: The model's settings.
        width: Width of the states.
        token_budget: Most tokens in a batch; None measures it once for large inputs.

    Attributes:
        engine: As given.
        tokenizer: As given.
        head: As given.
        spec: As given.
        width: As given.
        lock: Held while a batch is computed; hold it to run the backbone in another way.
    """

    def __init__(
        self,
        engine: LoadedEngine,
        tokenizer: Tokenizer,
        head: Head,
        spec: ModelSpec,
        *,
        width: int,
        token_budget: int | None,
    ) -> None:
        self.engine, self.tokenizer, self.head, self.spec, self.width = engine, tokenizer, head, spec, width
        self.lock = threading.RLock()
        _compute_alone_in_children()
        self._budget = token_budget
        self._prefixes: dict[tuple[str, tuple[Pooling, ...]], SharedPrefix] = {}

    @property
    def _prefix_decoder(self) -> FusedDecoder | None:
        """The backbone, where it can run texts behind a prefix that has been run: a causal one that is fused."""
        decoder = self.engine.backbone
        return decoder if isinstance(decoder, FusedDecoder) and decoder.causal else None

    def prefix_tokens(self, prompt: str) -> int:
        """Tokens of a prompt that texts behind it need not run again; 0 where the backbone cannot leave them out."""
        if self._prefix_decoder is None:
            return 0
        length = len(self.tokenizer.prompt_ids(prompt))
        return length if length >= MIN_TOKENS else 0

    def has_prefix(self, prompt: str) -> bool:
        """Whether a prompt has been run already, in the model's own pooling."""
        return (prompt, (self.spec.pooling,)) in self._prefixes

    def shared_prefix(
        self, prompt: str, poolings: tuple[Pooling, ...], prefix_lengths: Iterable[int]
    ) -> tuple[SharedPrefix | None, int]:
        """Give a prompt as a prefix that has been run, and the tokens just spent on it.

        Args:
            prompt: Written in front of the texts.
            poolings: In which they will be pooled.
            prefix_lengths: Tokens by which each text shares the prompt's; where none shares all, it is not run.
        """
        decoder, length = self._prefix_decoder, self.prefix_tokens(prompt)
        if decoder is None or not length:
            return None, 0
        with self.lock:
            if (prompt, poolings) in self._prefixes:
                return self._prefixes[prompt, poolings], 0
            if length not in prefix_lengths:
                return None, 0
            while len(self._prefixes) >= _MAX_PREFIXES:
                self._prefixes.pop(next(iter(self._prefixes)))
            prefix = SharedPrefix.run(decoder, self.tokenizer.prompt_ids(prompt), poolings)
            self._prefixes[prompt, poolings] = prefix
            return prefix, length

    def pool(
        self,
        tokenized: TokenizedTexts,
        chosen: Sequence[int],
        poolings: tuple[Pooling, ...],
        prefix: SharedPrefix | None = None,
    ) -> Tensor:
        """Run a batch and pool it in P ways: [P, B, H] float32, on the engine's device.

        Args:
            tokenized: Texts.
            chosen: Numbers of the B that are run.
            poolings: P of them.
            prefix: Stands before all of them, and is not run again.
        """
        with self.lock, torch.inference_mode():
            if prefix is not None:
                decoder = self._prefix_decoder
                assert decoder is not None
                own = [tokenized.sequences[number][prefix.length :] for number in chosen]
                return torch.stack(prefix.pool_behind(decoder, own, poolings))
            batch = send(tokenized.pack(chosen), self.engine.device)
            states = self.engine.backbone(batch)
            return torch.stack([pool(states, batch, pooling) for pooling in poolings])

    def token_budget(self, num_tokens: int) -> int:
        """Give the most tokens of a batch; measured when `num_tokens`, the work at hand, is worth it."""
        if self._budget is not None:
            return self._budget
        engine = self.engine
        if engine.device.type != "cpu":
            return _GPU_BUDGET
        identity = f"{engine.name} {engine.dtype} {self.width} {self.tokenizer.backend.get_vocab_size()}"
        self._budget = calibrated_budget(engine.backbone, identity, num_tokens=num_tokens)
        return self._budget or DEFAULT_BUDGET


@cache
def _compute_alone_in_children() -> None:
    """Let processes that are forked off from now on compute on one thread.

    The threads of torch's OpenMP stay behind in the parent, and a forked process would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
