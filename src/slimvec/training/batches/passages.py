"""Texts as objectives without labels read them: passages of tokens that know where words and sentences begin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray

from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.reports.amounts import counted
from slimvec.text.located import locate
from slimvec.text.prompts import Prompts, Role
from slimvec.text.sentences import sentence_spans
from slimvec.text.tokenizer import BLOCK_TEXTS, Tokenizer

Tokens = NDArray[np.int32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """What stands around the tokens of a part of a text when it is embedded by itself.

    Attributes:
        head: Special tokens that open a text, and the prompt's.
        closing: Special tokens that close it.
        prefix_length: How many tokens of the head pooling counts as the prompt's.
    """

    head: list[int]
    closing: list[int]
    prefix_length: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, prompts: Prompts, role: Role) -> "Frame":
        """Give that of a role, with the prompt it has where no task is named."""
        prompt = prompts.render(role, None)
        known = locate(tokenizer, "a", prompt=prompt)
        return cls(known.head, known.closing, len(known.head) if prompt else 0)

    def around(self, ids: Sequence[int]) -> list[int]:
        """Give the sequence that runs these tokens."""
        return [*self.head, *ids, *self.closing]

    @property
    def size(self) -> int:
        """Tokens in addition to the text's."""
        return len(self.head) + len(self.closing)


@dataclass(frozen=True, eq=False)
class Passage:
    """A text, or a part of a long one.

    Attributes:
        text: The whole text.
        text_id: Equal for equal texts.
        start: Tokens of the text before the passage.
        ids: [n], the passage's tokens.
        ends: [n + 1], where token i begins in the text, in characters, and where the last one ends.
        words: [n], whether a token begins a word.
        sentences: [n], whether it begins a sentence.
    """

    text: str
    text_id: int
    start: int
    ids: Tokens
    ends: NDArray[np.int64]
    words: Flags
    sentences: Flags

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.ids)

    def characters(self, start: int, end: int) -> str:
        """Give what the tokens from `start` to `end` stand for."""
        return self.text[self.ends[start] : self.ends[end]]

    def part(self, start: int, end: int) -> "Passage":
        """Give a part, by tokens."""
        return Passage(
            self.text,
            self.text_id,
            self.start + start,
            self.ids[start:end],
            self.ends[start : end + 1],
            self.words[start:end],
            self.sentences[start:end],
        )


def read_passages(texts: Sequence[str], tokenizer: Tokenizer, *, least: int, most: int) -> list[Passage]:
    """Tokenise texts and part long ones where words begin, so that nothing is cut off.

    Args:
        texts: Any length.
        tokenizer: The model's; its limit counts for nothing here.
        least: Shortest passage in tokens; shorter ones are left out.
        most: Longest passage in tokens, without prompt and special tokens.

    Raises:
        InputError: fewer than two passages are left.
    """
    backend = tokenizer.unlimited()
    found: list[Passage] = []
    for first in range(0, len(texts), BLOCK_TEXTS):
        block = texts[first : first + BLOCK_TEXTS]
        tokenizer.check(block, first=first)
        for text, encoding in zip(block, backend.encode_batch(block, add_special_tokens=False), strict=True):
            whole = _passage(text, encoding)
            found += [part for part in _parts(whole, most) if len(part) >= least]
    if len(found) < 2:
        raise InputError(
            f"{counted(len(found), 'passage')} of {least} tokens or more in {counted(len(texts), 'text')}",
            expected="at least 2, so that there is something to distinguish",
            do="give more or longer texts",
        )
    return found


def token_ends(encoding: tokenizers.Encoding) -> NDArray[np.int64]:
    """Give where each token begins in its text, in characters, and where the last one ends: [n + 1]."""
    begins = np.array([start for start, _ in encoding.offsets], dtype=np.int64)
    return np.maximum.accumulate(np.append(begins, encoding.offsets[-1][1] if encoding.offsets else 0))


def _passage(text: str, encoding: tokenizers.Encoding) -> Passage:
    """Locate the tokens of a text. Tokens may hold the white space before a word, or leave it out."""
    ends = token_ends(encoding)
    begins = ends[:-1]
    spaces = np.fromiter((char.isspace() for char in text), dtype=np.bool_, count=len(text))
    behind = np.concatenate([[True], spaces])  # whether white space, or nothing, is before a character
    words = behind[begins] | np.append(spaces, False)[begins]
    sentences = np.zeros(len(begins), dtype=np.bool_)
    for start, _ in sentence_spans(text):
        place = int(np.searchsorted(ends[1:], start, side="right"))  # first token that ends behind the beginning
        if place < len(begins):
            sentences[place] = True
    return Passage(text, text_id(text), 0, np.array(encoding.ids, dtype=np.int32), ends, words, sentences)


def _parts(passage: Passage, most: int) -> Iterator[Passage]:
    """Part a text into pieces of at most `most` tokens, where a sentence or else a word begins in their last half."""
    start = 0
    while len(passage) - start > most:
        end = last_border(passage, start + most // 2, start + most)
        yield passage.part(start, end)
        start = end
    yield passage.part(start, len(passage))


def last_border(passage: Passage, first: int, last: int) -> int:
    """Give the last token from `first` to `last` that begins a sentence, or else a word, or else `last`."""
    for flags in (passage.sentences, passage.words):
        places = np.flatnonzero(flags[first : last + 1])
        if len(places):
            return first + int(places[-1])
    return last
