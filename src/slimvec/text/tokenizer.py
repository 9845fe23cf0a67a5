"""Text to token ids, straight into packed form. Truncation is counted; an empty text is an error, never a vector.

Echo: a text is read twice in a row and its second copy is pooled (Springer et al. 2024, arXiv 2402.15449).

In a causal model the first tokens of a text see nothing of the rest. In its second copy every token has seen the whole
text once. No training is needed; it costs twice the tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import tokenizers
from tokenizers import normalizers

from slimvec.errors import InputError, ModelError
from slimvec.text.batch import PackedBatch

BLOCK_TEXTS = 2048
"""Texts tokenised at once. What the tokenizer gives takes a hundred bytes a token, cut-off ones too, until let go."""
_MAX_PROMPTS = 1024
SEPARATOR = "\n"
"""Between the copies; tokenised alone."""


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of texts, before they are put into batches.

    Attributes:
        sequences: Token ids by text.
        prefix_lengths: How many leading tokens of each are the prompt's own, special tokens before it included.
        truncated: By text, whether it was longer than the limit and was truncated.
    """

    sequences: list[list[int]]
    prefix_lengths: list[int]
    truncated: list[bool]

    @property
    def lengths(self) -> list[int]:
        """Tokens by text."""
        return [len(sequence) for sequence in self.sequences]

    @property
    def num_truncated(self) -> int:
        """How many texts were truncated."""
        return sum(self.truncated)

    def pack(self, indices: Sequence[int] | None = None) -> PackedBatch:
        """Pack the texts with these numbers, in this order; default all."""
        chosen = range(len(self.sequences)) if indices is None else indices
        return PackedBatch.from_sequences([self.sequences[i] for i in chosen], [self.prefix_lengths[i] for i in chosen])


class Tokenizer:
    """A Rust tokenizer with a length limit.

    Args:
        backend: The tokenizer as `tokenizer.json` describes it; special tokens are added as it says.
        max_tokens: Longest text in tokens, prompt and special tokens included.
        vocabulary: Number of token ids that the model knows; None for a tokenizer without a model.
        lower_case: Put texts into small letters first, unless the tokenizer does so itself.

    Attributes:
        backend: The tokenizer, limited.
        max_tokens: As given.
        num_closing: Special tokens that close a text.

    Raises:
        InputError: `max_tokens` is below 1.
        ModelError: the tokenizer has ids that the model does not know, or one id twice.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        max_tokens: int,
        vocabulary: int | None = None,
        lower_case: bool = False,
    ) -> None:
        if max_tokens < 1:
            raise InputError(f"max_tokens {max_tokens}", expected="at least 1")
        self._vocabulary = vocabulary
        if vocabulary is not None:
            _refuse_beyond(backend, vocabulary)
        self.backend = tokenizers.Tokenizer.from_str(backend.to_str())
        if self.backend.get_vocab_size() != backend.get_vocab_size():
            raise ModelError(
                "the tokenizer has two tokens with one id, which are not distinguishable when it is saved",
                expected="an id a token",
                do="take the tokenizer that belongs to the model",
            )
        if lower_case:
            normaliser = self.backend.normalizer
            parts = [normalizers.Lowercase(), *([] if normaliser is None else [normaliser])]
            self.backend.normalizer = normalizers.Sequence(parts)
        self.backend.no_padding()
        self.backend.enable_truncation(max_tokens)
        self.max_tokens = max_tokens
        self._prompt_ids: dict[str, list[int]] = {"": []}
        self._num_special = self.backend.num_special_tokens_to_add(is_pair=False)
        self.num_closing = _num_trailing(self.backend.encode("a").special_tokens_mask)

    @classmethod
    def from_folder(
        cls, folder: Path, *, max_tokens: int, vocabulary: int | None = None, lower_case: bool = False
    ) -> "Tokenizer":
        """Read `tokenizer.json` of a model folder; the other arguments are those of the class.

        Raises:
            ModelError: the file is missing or unreadable, or has ids that the model does not know.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"{folder} has no tokenizer.json", expected="a model folder with its tokenizer")
        return cls(read_backend(path), max_tokens=max_tokens, vocabulary=vocabulary, lower_case=lower_case)

    def limited(self, max_tokens: int) -> "Tokenizer":
        """Give the same tokenizer with a lower limit; its own stays where that is lower."""
        return Tokenizer(self.backend, max_tokens=min(max_tokens, self.max_tokens))

    def unlimited(self) -> tokenizers.Tokenizer:
        """Give the tokenizer without a limit."""
        backend = tokenizers.Tokenizer.from_str(self.backend.to_str())
        backend.no_truncation()
        return backend

    def tokenize(self, texts: Sequence[str], *, prompt: str = "", first: int = 0) -> TokenizedTexts:
        """Tokenise texts, each with the prompt written in front of it.

        Prompt and text are tokenised as one string, as the readers of saved models do. The prefix is what the prompt's
        own tokens and the whole's have in common, so a token merged across the border counts as text.

        Args:
            texts: None may be empty.
            prompt: Written in front of each.
            first: Number of the first text, for messages.

        Raises:
            InputError: a text is empty, is no Unicode, or has no tokens, or nothing of it is left after the prompt.
            ModelError: a text has a token that the model does not know.
        """
        self.check(texts, first=first)
        _refuse_surrogates(prompt, "the prompt")
        sequences: list[list[int]] = []
        truncated: list[bool] = []
        for start in range(0, len(texts), BLOCK_TEXTS):
            block = [prompt + text for text in texts[start : start + BLOCK_TEXTS]]
            try:
                encodings = self.backend.encode_batch_fast(block)
            except TypeError:  # the library's answer to half a character
                for number, text in enumerate(texts[start : start + BLOCK_TEXTS], first + start):
                    _refuse_surrogates(text, f"text {number}")
                raise
            sequences += [encoding.ids for encoding in encodings]
            truncated += [bool(encoding.overflowing) for encoding in encodings]
        prompt_ids = self.prompt_ids(prompt)
        prefix_lengths = [num_common(prompt_ids, sequence) for sequence in sequences]
        for number, (sequence, prefix) in enumerate(zip(sequences, prefix_lengths, strict=True), first):
            if len(sequence) <= (prefix + self.num_closing if prompt else self._num_special):
                raise InputError(
                    f"text {number} ({texts[number - first][:40]!r}) has no tokens of its own",
                    expected=f"text the tokenizer knows, and a prompt of under {self.max_tokens} tokens",
                )
            if self._vocabulary is not None and max(sequence) >= self._vocabulary:
                raise ModelError(
                    f"text {number} ({texts[number - first][:40]!r}) has the token id {max(sequence)}",
                    expected=f"below {self._vocabulary}, the rows of the model's embedding",
                    do="take the tokenizer that belongs to the model",
                )
        return TokenizedTexts(sequences, prefix_lengths, truncated)

    @staticmethod
    def check(texts: Sequence[str], *, first: int = 0) -> None:
        """Refuse texts that are none, before any is tokenised.

        Raises:
            InputError: a text is not a string, or empty.
        """
        for number, text in enumerate(texts, first):
            if not isinstance(text, str):
                raise InputError(f"text {number} is a {type(text).__name__}", expected="a string")
            if not text.strip():
                raise InputError(f"text {number} is empty", expected="some text", do="leave it out")

    def prompt_ids(self, prompt: str) -> list[int]:
        """Tokens of a prompt alone, with the special tokens that open a text and without those that close it."""
        ids = self._prompt_ids.get(prompt)
        if ids is None:
            encoding = self.backend.encode(prompt)
            ids = encoding.ids[: len(encoding.ids) - _num_trailing(encoding.special_tokens_mask)]
            if len(self._prompt_ids) >= _MAX_PROMPTS:  # a server's clients may write an instruction a request
                self._prompt_ids = {"": []}
            self._prompt_ids[prompt] = ids
        return ids


def _refuse_beyond(backend: tokenizers.Tokenizer, vocabulary: int) -> None:
    """Refuse a tokenizer with ids that the model has not.

    Special tokens beyond the embedding are let pass: EmbeddingGemma has one, for images. A text in which one is written
    is refused by itself.

    Raises:
        ModelError: always then.
    """
    added = backend.get_added_tokens_decoder()
    spare = {number for number, token in added.items() if token.special and number >= vocabulary}
    last, size = max(added.keys() - spare, default=-1), backend.get_vocab_size(with_added_tokens=True) - len(spare)
    token = added[last].content if last >= 0 else ""
    if size <= vocabulary and any(backend.id_to_token(number) is None for number in range(size)):  # ids with gaps
        ids = backend.get_vocab(with_added_tokens=True).items()
        last, token = max((number, token) for token, number in ids if number not in spare)
    if last >= vocabulary or size > vocabulary:
        found = f"the token {token!r} with id {last}" if last >= vocabulary else f"{size} tokens"
        raise ModelError(
            f"the tokenizer has {found}",
            expected=f"ids below {vocabulary}, the rows of the model's embedding",
            do="take the tokenizer that belongs to the model, or enlarge its embedding",
        )


def _refuse_surrogates(text: str, what: str) -> None:
    """Refuse half a character, which is no Unicode text and which no tokenizer takes.

    Raises:
        InputError: there is one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} ({text[:40]!r}) has half a character (U+{ord(text[error.start]):04X}) at {error.start}",
            expected="Unicode text",
            do='repair it where it was read, or write text.encode(errors="replace").decode()',
        ) from None


def read_backend(path: Path) -> tokenizers.Tokenizer:
    """Read a file in the form of `tokenizer.json`.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path} cannot be read: {error}", expected="a tokenizer.json") from error


def _num_trailing(special_tokens_mask: Sequence[int]) -> int:
    """How many special tokens close a text."""
    return len(list(takewhile(bool, reversed(special_tokens_mask))))


def num_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


class EchoTokenizer(Tokenizer):
    """A tokenizer that writes every text twice.

    A sequence is [opening, prompt, text, separator, text, closing] with the same tokens in both copies; all that stands
    before the second copy counts as its prefix, so a pooling that leaves the prompt out pools that copy alone. Both
    copies are truncated alike where they do not fit the limit together. Arguments are those of `Tokenizer`.
    """

    def tokenize(self, texts: Sequence[str], *, prompt: str = "", first: int = 0) -> TokenizedTexts:
        """Tokenise texts, each twice behind the prompt; arguments and errors as for `Tokenizer`.

        Raises:
            InputError: the prompt leaves no room for two tokens of a text.
        """
        plain = super().tokenize(texts, prompt=prompt, first=first)
        separator: list[int] = self.backend.encode(SEPARATOR, add_special_tokens=False).ids
        num_opening = self._num_special - self.num_closing
        sequences, prefix_lengths, truncated = [], [], []
        for sequence, prefix, cut in zip(plain.sequences, plain.prefix_lengths, plain.truncated, strict=True):
            start, end = max(prefix, num_opening), len(sequence) - self.num_closing
            room = (self.max_tokens - start - len(separator) - self.num_closing) // 2
            if room < 1:
                raise InputError(
                    f"a prompt of {start} tokens leaves no room for a text twice", expected=f"{self.max_tokens} tokens"
                )
            copy = sequence[start : min(end, start + room)]
            sequences.append([*sequence[:start], *copy, *separator, *copy, *sequence[end:]])
            prefix_lengths.append(start + len(copy) + len(separator))
            truncated.append(cut or end - start > room)
        return TokenizedTexts(sequences, prefix_lengths, truncated)
