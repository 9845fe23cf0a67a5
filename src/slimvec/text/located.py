"""The tokens of one text with the characters they stand for, however long the text is.

The batch path (`Tokenizer.tokenize`) knows no characters, which makes it fast; what points at places in a text
(prefixes, chunks, attribution) or goes beyond the length limit (windows, appending) reads texts here.
"""

from dataclasses import dataclass
from itertools import accumulate

from slimvec.errors import InputError
from slimvec.text.tokenizer import EchoTokenizer, Tokenizer


@dataclass(frozen=True)
class LocatedTokens:
    """All tokens of a prompt and a text. Nothing is truncated.

    Attributes:
        prompt: What is written in front of the text.
        text: The text.
        ids: N token ids: special tokens that open a text, the prompt's, the text's own.
        spans: N places (start, end) in `prompt + text`, in characters; special tokens have empty ones. Tokens that
            share a character have overlapping ones.
        closing: Special tokens that close a text.
        first: Number of the first token of the text's own.
        prefix_length: How many leading tokens pooling counts as the prompt's, as `Tokenizer.tokenize` says.
        head: What opens every window of the text: special tokens and the prompt's tokens.
        max_tokens: Longest sequence that the model takes.
    """

    prompt: str
    text: str
    ids: list[int]
    spans: list[tuple[int, int]]
    closing: list[int]
    first: int
    prefix_length: int
    head: list[int]
    max_tokens: int

    @property
    def sequence(self) -> list[int]:
        """All ids, closing ones included."""
        return self.ids + self.closing

    @property
    def num_own(self) -> int:
        """Tokens of the text's own."""
        return len(self.ids) - self.first

    @property
    def num_fitting(self) -> int:
        """How many of the text's own tokens are left when the sequence is cut to `max_tokens`."""
        return min(self.num_own, self.max_tokens - len(self.closing) - self.first)

    @property
    def ends(self) -> list[int]:
        """Characters of the text before the end of each of its own tokens: never falling."""
        start = len(self.prompt)
        return list(accumulate((end - start for _, end in self.spans[self.first :]), max))

    def window(self, start: int, end: int) -> tuple[list[int], int]:
        """Give the sequence that runs the text's own tokens from `start` to `end`, and its prefix length.

        A window from 0 is what `Tokenizer.tokenize` makes of a text that is truncated there.
        """
        own = self.ids[self.first + start : self.first + end] + self.closing
        if start == 0:
            return self.ids[: self.first] + own, self.prefix_length
        return self.head + own, len(self.head) if self.prompt else 0


def locate(tokenizer: Tokenizer, text: str, *, prompt: str = "") -> LocatedTokens:
    """Tokenise a text behind a prompt, with places and without a limit.

    Args:
        tokenizer: The model's.
        text: Any length.
        prompt: Written in front of it.

    Raises:
        InputError: the text is empty or has no tokens of its own, the prompt leaves it no room, or the tokenizer writes
            texts twice.
    """
    if isinstance(tokenizer, EchoTokenizer):
        raise InputError("a text in parts, by a model loaded with echo", expected="a model loaded without")
    tokenized = tokenizer.tokenize([text], prompt=prompt)  # refuses what cannot be embedded
    encoding = tokenizer.backend.encode(prompt + text)
    # What the limit cuts off lies in `overflowing`, each piece opened and closed like a text.
    pieces = [encoding, *encoding.overflowing]
    ids = [
        i for piece in pieces for i, special in zip(piece.ids, piece.special_tokens_mask, strict=True) if not special
    ]
    spans = [
        s
        for piece in pieces
        for s, special in zip(piece.offsets, piece.special_tokens_mask, strict=True)
        if not special
    ]
    num_opening = encoding.special_tokens_mask.index(0)
    num_closing = encoding.special_tokens_mask[::-1].index(0)
    opening = encoding.ids[:num_opening]
    prefix_length = tokenized.prefix_lengths[0]
    return LocatedTokens(
        prompt=prompt,
        text=text,
        ids=opening + ids,
        spans=[(0, 0)] * num_opening + spans,
        closing=encoding.ids[len(encoding.ids) - num_closing :],
        first=max(prefix_length, num_opening),
        prefix_length=prefix_length,
        head=tokenizer.prompt_ids(prompt) if prompt else opening,
        max_tokens=tokenizer.max_tokens,
    )
