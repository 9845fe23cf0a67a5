"""Documents to put questions to: sentences of real long texts where they are at hand, made ones where they are not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slimvec.data.records import check_text
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.data.tables import iter_rows, located
from slimvec.errors import InputError, ModelError
from slimvec.evaluation.models import EvaluatedModel, Usage
from slimvec.numbers import finite_number
from slimvec.probes.facts import make_hay
from slimvec.probes.protocol import ProbeConfig, unit_vectors
from slimvec.statistics.resampling import Values
from slimvec.text.embeddings import Embeddings
from slimvec.text.sentences import split_sentences

_SHORTEST, _LONGEST = 6, 40
"""Words of a sentence that is taken: shorter ones are headings, longer ones are tables."""
_LETTERS = 0.75
"""Least share of letters and spaces; below it stands code."""
_HAY_WORDS = 9
"""Words of the shortest made sentence."""
USUAL_TOKENS = 1.35
"""Tokens a word where a model does not count them."""


Row = tuple[str, tuple[str, ...], tuple[float, ...]]
"""A row of an outside set: where it stands, for errors; its texts and its numbers, in the order they were asked for."""


def read_set(folder: Path | None, file: str, texts: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Row]:
    """Read fields of all rows of an outside set.

    Args:
        folder: Folder of the set; None, where the set is not at hand, has no rows.
        file: Its file.
        texts: Fields that are texts.
        numbers: Fields that are numbers.

    Raises:
        InputError: the file is missing, or a row lacks a field or has something else in it.
    """
    if folder is None:
        return
    fields = (*texts, *numbers)
    for row in iter_rows(folder / file, fields=fields):
        missing = next((name for name in fields if name not in row.values), None)
        if missing is not None:
            raise InputError(f"{row.place}: no field {missing!r}", expected=f"the fields {', '.join(fields)}")
        try:
            found = tuple(check_text(row.values[name], name) for name in texts)
        except InputError as error:
            raise located(error, row.place) from error
        yield row.place, found, tuple(_number(row.values[name], f"{row.place}: {name}") for name in numbers)


def _number(value: object, what: str) -> float:
    number = finite_number(value)
    if number is None:
        raise InputError(f"{what} {value!r}", expected="a number")
    return number


@dataclass(frozen=True)
class Documents:
    """Documents as lists of sentences.

    Attributes:
        documents: Each of at least as many words as was asked for.
        source: Where they are from, for the report.
    """

    documents: tuple[tuple[str, ...], ...]
    source: str


def gather_documents(
    config: ProbeConfig, num_documents: int, num_words: int, generator: np.random.Generator
) -> Documents:
    """Gather documents of different content.

    Args:
        config: Its data may have `longdocs`; where it has too few that are long enough, or none, they are made.
        num_documents: How many.
        num_words: Words of each, at least.
        generator: Draws which.

    Raises:
        InputError: `longdocs` is there and malformed.
    """
    folder = config.folder("longdocs")
    if folder is not None:
        texts = [document.content for document in read_retrieval_set(folder).documents]
        found: list[tuple[str, ...]] = []
        for number in generator.permutation(len(texts)):
            sentences = tuple(s for s in map(_flat, split_sentences(texts[number])) if _is_prose(s))
            if num_words_of(sentences) >= num_words:
                found.append(sentences)
            if len(found) == num_documents:
                return Documents(tuple(found), "longdocs")
    per_document = -(-num_words // _HAY_WORDS) + 2
    made = make_hay(num_documents * per_document, generator)
    documents = [tuple(made[start : start + per_document]) for start in range(0, len(made), per_document)]
    return Documents(tuple(documents), "made sentences")


def cut_sentences(sentences: Sequence[str], num_words: int) -> tuple[str, ...]:
    """Give the first sentences, as many as come nearest to a number of words; at least one."""
    totals = np.cumsum([len(sentence.split()) for sentence in sentences])
    return tuple(sentences[: int(np.abs(totals - num_words).argmin()) + 1])


def num_words_of(sentences: Sequence[str]) -> int:
    """Count the words of sentences."""
    return sum(len(sentence.split()) for sentence in sentences)


def tokens_a_word(model: EvaluatedModel, sentences: Sequence[str]) -> float:
    """Measure how many tokens a model makes of a word; a usual number where it does not count.

    It embeds some of the sentences, and twice as many: their difference has no prompt in it.
    """
    half = max(1, min(4, len(sentences) // 2))
    texts = [" ".join(sentences[:count]) for count in (half, 2 * half)]
    prompt = model.prompt(Usage("probe", "Retrieval", "document"))
    found = model.embed(texts, role=prompt.role, task=prompt.task)
    tokens = int(found.tokens[1]) - int(found.tokens[0])
    words = len(texts[1].split()) - len(texts[0].split())
    return tokens / words if found.tokens.min() >= 0 and tokens > 0 < words else USUAL_TOKENS


class CutOffError(ModelError):
    """A model cuts off every document that a probe would ask about."""


def embed_documents(model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig) -> Embeddings:
    """Embed documents of retrieval, with what is known of their lengths: vectors [N, D] of length 1."""
    prompt = model.prompt(Usage("probe", "Retrieval", "document"))
    found = model.embed(texts, role=prompt.role, task=prompt.task, on_progress=config.on_progress)
    return replace(found, vectors=unit_vectors(found.vectors, texts))


def count_tokens(found: Embeddings, texts: Sequence[str]) -> Values:
    """Give the tokens of N documents as they were counted, [N], or estimate them from words where nobody did."""
    words = np.array([len(text.split()) for text in texts])
    return np.where(found.tokens >= 0, found.tokens, words * USUAL_TOKENS).astype(np.float64)


def _flat(sentence: str) -> str:
    """Put a wrapped sentence on one line."""
    return " ".join(sentence.split())


def _is_prose(sentence: str) -> bool:
    """Whether a sentence reads like one."""
    words = len(sentence.split())
    plain = sum(character.isalpha() or character == " " for character in sentence)
    return _SHORTEST <= words <= _LONGEST and plain >= _LETTERS * len(sentence) and sentence[-1] in ".!?"
