"""What stands around a query when a language model writes n-grams of the documents that answer it.

Training and search read queries and documents here, so that the model is asked as it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from slimvec.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class GenerativePrompt:
    """The prompt of generative retrieval.

    Attributes:
        before: In front of the query.
        behind: Behind it; the n-gram follows.
    """

    before: str = "Question: "
    behind: str = "\nPassage:"

    def asked(self, tokenizer: Tokenizer, query: str) -> list[int]:
        """Give the tokens behind which an n-gram for the query follows.

        Raises:
            InputError: the query is empty.
        """
        tokenizer.check([query])
        return _open(tokenizer, f"{self.before}{query.strip()}{self.behind}")

    def unasked(self, tokenizer: Tokenizer) -> list[int]:
        """Give the tokens behind which any n-gram follows."""
        return _open(tokenizer, self.behind.strip())


PROMPT = GenerativePrompt()
"""The one that models are trained with and asked with."""


def continuation_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Give the tokens of texts, whole, as they follow a prompt, without special tokens.

    Raises:
        InputError: an empty text.
    """
    tokenizer.check(texts)
    encodings = tokenizer.backend.encode_batch_fast([continuation(text) for text in texts], add_special_tokens=False)
    return [[i for piece in (whole, *whole.overflowing) for i in piece.ids] for whole in encodings]


def continuation(text: str) -> str:
    """Write a text as what follows a prompt: behind a space its first word has the tokens that it has anywhere."""
    return f" {text.strip()}"


def _open(tokenizer: Tokenizer, text: str) -> list[int]:
    """Give the tokens of a text that goes on."""
    tokens = tokenizer.tokenize([text]).sequences[0]
    return tokens[: len(tokens) - tokenizer.num_closing]
