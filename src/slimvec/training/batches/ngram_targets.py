"""What a language model shall write of a document for a query: one of its n-grams, drawn at random.

For a query q and an n-gram g of a document, with o(g, q) the share of the characters of g that stand in runs of four
characters which q has too, capitals aside:

    p(g) ~ exp(b o(g, q))

n-grams begin where a word does. SEAL (arXiv 2204.10628) compares windows of three words by an edit distance and adds up
their likeness; runs of characters know inflected words as well, and scripts without spaces, at the cost of a look-up a
character.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import tokenizers
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.ranking.words import word_spans
from slimvec.text.generative_prompt import continuation
from slimvec.text.tokenizer import BLOCK_TEXTS, Tokenizer
from slimvec.training.batches.passages import Flags, Tokens, token_ends

_RUN = 4
"""Characters of a run."""


@dataclass(frozen=True, eq=False)
class TargetDocument:
    """A document whose n-grams are learnt, as it follows a prompt.

    Attributes:
        text: The document behind a space.
        ids: [n], its tokens.
        ends: [n + 1], where token i begins in the text, in characters, and where the last one ends.
        starts: [n], whether a word begins within a token.
    """

    text: str
    ids: Tokens
    ends: NDArray[np.int64]
    starts: Flags

    @classmethod
    def of(cls, text: str, encoding: tokenizers.Encoding) -> Self:
        """Locate the tokens of a text.

        Args:
            text: As it follows a prompt.
            encoding: Its tokens.
        """
        ends = token_ends(encoding)
        begun = np.zeros(len(text) + 1, dtype=np.int64)  # how many words begin before a character
        for start, _ in word_spans(text):
            begun[start + 1] = text[start].isalnum()
        begun, begins = np.cumsum(begun), ends[:-1]
        behind = np.minimum(np.maximum(ends[1:], begins + 1), len(text))
        # Of the tokens that make up one character, the first begins it.
        starts = (begun[behind] > begun[begins]) & (np.diff(begins, prepend=-1) > 0)
        return cls(text, np.array(encoding.ids, dtype=np.int32), ends, starts)

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.ids)

    def draw(self, dice: np.random.Generator, *, tokens: int, query: str = "", bias: float = 0.0) -> Tokens:
        """Draw an n-gram.

        Args:
            dice: Draws.
            tokens: Its length, as far as the document has them.
            query: What it shall look like.
            bias: b; 0 draws all n-grams alike.

        Returns:
            The tokens; at least one.
        """
        size = min(tokens, len(self))
        begins = self._begins(size, without=slice(0, 0))
        weights = np.exp(bias * self._overlap(query, begins, size)) if bias else np.ones(len(begins))
        begin = begins[_pick(weights, dice)]
        return self.ids[begin : begin + size]

    def draw_pair(self, dice: np.random.Generator, *, tokens: int) -> tuple[str, Tokens]:
        """Draw a span of the document and an n-gram from the rest of it, both at random.

        Args:
            dice: Draws.
            tokens: Length of either, as far as the document has them.

        Returns:
            The span as a text, and the tokens of the n-gram; of a document of one token it is both.
        """
        size = min(tokens, max(len(self) // 2, 1))
        begins = self._begins(size, without=slice(0, 0))
        start = int(begins[_pick(np.ones(len(begins)), dice)])
        span = slice(start, start + size)
        length = min(tokens, max(span.start, len(self) - span.stop))
        if not length:
            return self.text.strip(), self.ids
        begins = self._begins(length, without=span)
        begin = begins[_pick(np.ones(len(begins)), dice)]
        first, last = self.ends[span.start], self.ends[span.stop]
        # A token may be a part of a character, or white space alone.
        asked = self.text[first : max(last, first + 1)].strip() or self.text.strip()
        return asked, self.ids[begin : begin + length]

    def _begins(self, size: int, *, without: slice) -> NDArray[np.int64]:
        """Give the tokens where n-grams outside of a span may begin: at words, or anywhere if none begins there."""
        places = np.arange(len(self) - size + 1)
        places = places[(places + size <= without.start) | (places >= without.stop)]
        at_words: NDArray[np.int64] = places[self.starts[places]]
        return at_words if len(at_words) else places

    def _overlap(self, query: str, begins: NDArray[np.int64], size: int) -> NDArray[np.float64]:
        """Give o(g, q) of the n-grams that begin at some tokens."""
        shared = np.concatenate([[0], np.cumsum(shared_characters(self.text, query))])
        first, last = self.ends[begins], self.ends[begins + size]
        found: NDArray[np.float64] = (shared[last] - shared[first]) / np.maximum(last - first, 1)
        return found


def read_targets(texts: Sequence[str], tokenizer: Tokenizer) -> list[TargetDocument]:
    """Tokenise documents, whole, as they follow a prompt.

    Args:
        texts: N documents.
        tokenizer: The model's; its limit counts for nothing here.

    Raises:
        InputError: a document that is empty or has no tokens.
    """
    backend = tokenizer.unlimited()
    found: list[TargetDocument] = []
    for first in range(0, len(texts), BLOCK_TEXTS):
        tokenizer.check(texts[first : first + BLOCK_TEXTS], first=first)
        block = [continuation(text) for text in texts[first : first + BLOCK_TEXTS]]
        encodings = backend.encode_batch(block, add_special_tokens=False)
        for number, (text, encoding) in enumerate(zip(block, encodings, strict=True), first):
            if not encoding.ids:
                raise InputError(
                    f"text {number} ({texts[number][:40]!r}) has no tokens", expected="text the tokenizer knows"
                )
            found.append(TargetDocument.of(text, encoding))
    return found


def shared_characters(text: str, query: str) -> Flags:
    """Say which characters of a text stand in a run that a query has too: [len(text)]."""
    asked, lowered = _lower(query.strip()), _lower(text)
    runs = {asked[start : start + _RUN] for start in range(len(asked) - _RUN + 1)}
    found = np.zeros(len(text), dtype=np.bool_)
    for start in range(len(lowered) - _RUN + 1):
        if lowered[start : start + _RUN] in runs:
            found[start : start + _RUN] = True
    return found


def _lower(text: str) -> str:
    """Put a text into small letters, each in its place: a few letters have two for their small one."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _pick(weights: NDArray[np.float64], dice: np.random.Generator) -> int:
    """Draw a number with a probability in proportion to its weight."""
    upto = np.cumsum(weights)
    return int(np.searchsorted(upto, dice.random() * upto[-1], side="right").clip(max=len(weights) - 1))
