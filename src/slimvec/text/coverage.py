"""How much of a text its tokens carry: what comes back when they are turned into text again.

A tokenizer that does not know a script either gives one token for "unknown", so that different texts become the same,
or cuts each character into bytes, so that a text takes many times the tokens. Both are counted here, apart.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import models

_NO_CHARACTER = "\ufffd"
_TEXTS_AT_ONCE = 1024
_SPACE_MARK = "\u2581"
"""What tokenizers of the sentencepiece family write for a space."""


@dataclass(frozen=True, slots=True)
class TextCoverage:
    """How much of a text its tokens carry.

    Attributes:
        share: Share of its characters that come back from its tokens, 0 to 1. White space is left aside, and both
            sides are compared after NFKD and case folding (Unicode, chapters 3.11 and 3.13): a tokenizer that writes
            all in small letters or composes accents loses nothing, one that drops accents or vowel signs does. What
            stands behind a model's limit counts as read; truncation is counted elsewhere.
        is_exact: Whether the text comes back as it was, character by character.
        is_normalised: Whether what comes back is, white space aside, what the tokenizer's own normaliser makes of the
            text; always so where nothing is unknown, as long as the decoder is right.
        num_characters: Characters of the text, white space included.
        num_tokens: Without special ones.
        num_unknown: Tokens that stand for anything unknown.
        num_pieces: Tokens that are not whole characters: single bytes, and pieces of a few that hold part of one.
            U+FFFD itself, which stands in damaged texts alone, counts as one.
    """

    share: float
    is_exact: bool
    is_normalised: bool
    num_characters: int
    num_tokens: int
    num_unknown: int
    num_pieces: int


class CoverageMeter:
    """Measures how much of a text a tokenizer carries.

    Args:
        backend: The tokenizer.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend
        self._normalizer = backend.normalizer
        self._unknown = _unknown_id(backend)
        self._pieces: dict[int, bool] = {}

    def measure(self, texts: Sequence[str]) -> list[TextCoverage]:
        """Measure N texts, in their order; a block at a time, as what the library gives for a text is large."""
        starts = range(0, len(texts), _TEXTS_AT_ONCE)
        return [found for start in starts for found in self._measure(texts[start : start + _TEXTS_AT_ONCE])]

    def _measure(self, texts: Sequence[str]) -> list[TextCoverage]:
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        contents = [[*first.ids, *(i for rest in first.overflowing for i in rest.ids)] for first in encodings]
        known = [[number for number in content if number != self._unknown] for content in contents]
        decoded = self._backend.decode_batch(known, skip_special_tokens=True)
        rows = zip(texts, contents, known, decoded, strict=True)
        return [
            TextCoverage(
                share=_share_kept(text, back),
                is_exact=text == back,
                is_normalised=_without_space(self._normalise(text)) == _without_space(back),
                num_characters=len(text),
                num_tokens=len(content),
                num_unknown=len(content) - len(kept),
                num_pieces=sum(map(self._is_piece, content)),
            )
            for text, content, kept, back in rows
        ]

    def _normalise(self, text: str) -> str:
        normalised: str = text if self._normalizer is None else self._normalizer.normalize_str(text)
        return normalised

    def _is_piece(self, number: int) -> bool:
        """Whether a token alone is not a whole character: decoders write U+FFFD for bytes that are none."""
        if number not in self._pieces:
            alone = self._backend.decode([number], skip_special_tokens=False)
            self._pieces[number] = _NO_CHARACTER in alone
        return self._pieces[number]


def _unknown_id(backend: tokenizers.Tokenizer) -> int | None:
    """Number of the token for what is unknown; None where there is none."""
    if isinstance(backend.model, models.Unigram):  # the only kind that names it by number, and in its file alone
        number: int | None = json.loads(backend.to_str())["model"]["unk_id"]
        return number
    token = backend.model.unk_token
    return None if token is None else backend.token_to_id(token)


def _share_kept(text: str, decoded: str) -> float:
    """Share of a text's characters that are in the decoded text, each as often as it stands there.

    Order is not looked at: tokens stand in the order of the text, so what is lost is lost where it stood.
    """
    if text == decoded:
        return 1.0
    wanted = Counter(_folded(text))
    if not wanted:
        return 1.0
    lost = wanted - Counter(_folded(decoded))
    return 1 - lost.total() / wanted.total()


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(unicodedata.normalize("NFKD", folded).split())


def _without_space(text: str) -> str:
    return "".join(text.replace(_SPACE_MARK, " ").split())
