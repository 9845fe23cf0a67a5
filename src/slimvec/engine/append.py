"""A text that grows: what was run stays, and more text costs only its own tokens. Causal models only.

Keys, values and states of what is there are kept. Appending can change the last tokens of the old text ("embed" and
"ding" become "embedding"), so the whole text is tokenised anew, which is cheap; the longest common beginning of the
old and the new tokens is kept, and only the rest is run. The vector is that of the whole text, exactly.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.engine.fused.cache import FusedCache, empty_kv
from slimvec.engine.growing import GrowingTensor
from slimvec.engine.parts import HasParts, causal_decoder, check_fits, finish_vectors
from slimvec.errors import InputError
from slimvec.model.pooling import pool
from slimvec.text.batch import PackedBatch
from slimvec.text.embeddings import Vectors
from slimvec.text.located import locate
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import num_common


@dataclass(frozen=True, eq=False)
class ComputedText:
    """A text with all that the model made of it.

    Attributes:
        text: The text, without its prompt.
        role: Its role, which chose the prompt.
        prompt: What stands in front of it.
        ids: T token ids, prompt and special tokens included.
        prefix_length: How many of them pooling counts as the prompt's.
        states: [T, H] float32.
        kv: Keys and values of the T tokens.
        num_computed: Tokens run through the model so far.
    """

    text: str
    role: Role
    prompt: str
    ids: list[int]
    prefix_length: int
    states: Tensor
    kv: KeyValues
    num_computed: int


class TextState:
    """An open text. Made by `open_text` or `load_state`.

    Args:
        parts: The embedder; its backbone is the fused decoder, causal.
        computed: The text so far.
    """

    def __init__(self, parts: HasParts, computed: ComputedText) -> None:
        self._parts = parts
        self._computed = computed
        self._memory = _Memory.of(causal_decoder(parts), computed)

    @property
    def text(self) -> str:
        """The whole text, without its prompt."""
        return self._computed.text

    @property
    def num_tokens(self) -> int:
        """Tokens of the whole text, prompt included."""
        return len(self._computed.ids)

    @property
    def num_computed(self) -> int:
        """Tokens that were run through the model since the text was opened."""
        return self._computed.num_computed

    @property
    def vector(self) -> Vectors:
        """Vector [D] of the whole text."""
        return self.embed()

    def embed(self, *, dims: int | None = None) -> Vectors:
        """Give the vector [D] of the whole text.

        Args:
            dims: Width, when fewer than the model's.

        Raises:
            InputError: dims larger than the model's.
        """
        held = self._computed
        batch = PackedBatch.from_sequences([held.ids], [held.prefix_length])
        vector: Vectors = finish_vectors(pool(held.states, batch, self._parts.spec.pooling), self._parts, dims)[0]
        return vector

    def append(self, more: str) -> None:
        """Add text at the end.

        Args:
            more: Added as it is; put a space in front where one belongs.

        Raises:
            InputError: nothing to add, or the whole would be longer than the model's limit; the state is unchanged.
        """
        if not isinstance(more, str) or not more:
            raise InputError(f"{more!r} to append", expected="some text")
        self._computed = _compute(self._parts, self._computed, self.text + more, self._memory)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the state to a file, to go on later; see `state_files.save_state`.

        Args:
            path: Where; safetensors whatever the name.
            force: Replace what is there.

        Raises:
            InputError: the path exists.
            StorageError: it cannot be written.
        """
        from slimvec.engine.state_files import save_state

        save_state(self._parts, self._computed, Path(path), force=force)


def open_text(parts: HasParts, text: str, *, role: Role = "document", task: str | None = None) -> TextState:
    """Run a text and keep what is needed to append to it.

    Args:
        parts: The embedder.
        text: The beginning.
        role: `query` or `document`; it decides the prompt.
        task: As for `Embedder.embed`.

    Raises:
        InputError: a text that is empty or too long, an unknown role or task.
        ModelError: a bidirectional model, or an engine that keeps no keys and values.
    """
    parts = parts.for_role(role)
    decoder = causal_decoder(parts)
    nothing = ComputedText(
        text="",
        role=role,
        prompt=parts.spec.prompts.render(role, task),
        ids=[],
        prefix_length=0,
        states=torch.empty(0, decoder.width),
        kv=empty_kv(decoder),
        num_computed=0,
    )
    return TextState(parts, _compute(parts, nothing, text, _Memory.of(decoder, nothing)))


@dataclass(frozen=True, eq=False)
class _Memory:
    """Where a text's tensors lie, with room for more tokens; one text's alone."""

    states: GrowingTensor
    cache: FusedCache

    @classmethod
    def of(cls, decoder: FusedDecoder, computed: ComputedText) -> Self:
        return cls(GrowingTensor(computed.states, 0), FusedCache(decoder, computed.kv))


def _compute(parts: HasParts, held: ComputedText, text: str, memory: _Memory) -> ComputedText:
    """Run what a text has more than what is held, or other."""
    tokens = locate(parts.tokenizer, text, prompt=held.prompt)
    check_fits(tokens, do="open a new text, or load the model with a larger max_tokens")
    ids = tokens.sequence
    kept = num_common(held.ids, ids)
    memory.cache.keep(kept)
    states = held.states[:kept]
    if kept < len(ids):
        states = memory.states.write(kept, memory.cache.extend(ids[kept:]))
    num_computed = held.num_computed + len(ids) - kept
    return ComputedText(text, held.role, held.prompt, ids, tokens.prefix_length, states, memory.cache.kv, num_computed)
