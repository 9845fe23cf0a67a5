"""Models whose bias is known, so that a probe can be held to what was planted.

A word's vector is random, unit length and drawn from the word itself, so that different words are near orthogonal and
nothing has to be stored. A text's vector is a weighted mean of its words' vectors, unless a class says otherwise. All
of it is exact: the same words with the same weights give the same bits, in whatever order they stand.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimvec.evaluation.models import ModelCard, Prompt, Usage
from slimvec.text.embeddings import Embeddings, OnProgress
from slimvec.text.prompts import Role

Vector = NDArray[np.float64]
INSTRUCTED = "Instruct: {task}\nQuery:\n"
TASK = "Find the text that answers the question"


def words_of(text: str) -> list[str]:
    """Cut a text into lower-case words; punctuation is no word."""
    return re.findall(r"\w+", text.lower())


@lru_cache(maxsize=100_000)
def direction(key: str, dims: int) -> Vector:
    """Draw the vector of a key: [dims], unit length, the same on every machine."""
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    vector = np.random.default_rng(seed).standard_normal(dims)
    return vector / np.linalg.norm(vector)


def unit(vector: Vector) -> Vector:
    """Scale to length 1; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What all planted models share: every word has the same weight (`BagOfWords`) unless a class says otherwise.

    Attributes:
        dims: D; with 512, cosines of different words have a standard deviation of 0.044.
        max_tokens: Words that are read, the prompt's included; what lies behind is truncated and counted as truncated.
        template: Written in front of queries; `{task}` stands for the instruction. Empty for a model without prompts.
        reads_prompt: Whether the words of the prompt are pooled with the text's.
    """

    dims: int = 512
    max_tokens: int | None = None
    template: str = ""
    reads_prompt: bool = False

    @property
    def card(self) -> ModelCard:
        """What is known of it; the identity is its class with its options."""
        prompts = {"query": self.template.replace("{task}", TASK), "document": ""}
        identity = hashlib.sha256(repr(self).encode()).hexdigest()
        name, limit = type(self).__name__, self.max_tokens
        return ModelCard(
            name=name, kind="planted", identity=identity, dims=self.dims, max_tokens=limit, prompts=prompts
        )

    def prompt(self, usage: Usage) -> Prompt:
        """The template with the usage's instruction in front of queries, nothing in front of all else."""
        if usage.role != "query" or not self.template:
            return Prompt("", usage.role)
        text = self.template.replace("{task}", usage.instruction or TASK)
        return Prompt(text, "query", text)

    def render(self, role: Role | None, task: str | None = None) -> str:  # noqa: ARG002  as the protocol has it
        """A task is a whole prompt; without one, nothing is written."""
        return "" if task is None else task

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed N texts: [N, D] float32, not normalised."""
        split = [(words_of(self.render(role, task)), words_of(text)) for text in texts]
        kept = [words[: self._room(front)] for front, words in split]
        rows = [
            self.vector([*front, *words] if self.reads_prompt else words, text)
            for (front, _), words, text in zip(split, kept, texts, strict=True)
        ]
        if on_progress is not None:
            on_progress(len(texts))
        num_tokens = [len(front) + len(words) for (front, _), words in zip(split, kept, strict=True)]
        truncated = [len(words) < len(whole) for words, (_, whole) in zip(kept, split, strict=True)]
        vectors = np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dims)
        return Embeddings(vectors, np.asarray(num_tokens, dtype=np.int32), np.asarray(truncated, dtype=np.int8))

    def vector(self, words: Sequence[str], text: str) -> Vector:  # noqa: ARG002  (`Random` reads the text)
        """Give the vector of a text's words, the prompt's in front where it is read: [D]."""
        return self.bag(words)

    def bag(self, words: Sequence[str]) -> Vector:
        """Weighted sum of the words' vectors, added up in the words' alphabet so that order leaves no trace."""
        totals: dict[str, float] = defaultdict(float)
        for word, weight in zip(words, self.weights(len(words)).tolist(), strict=True):
            totals[word] += weight
        total = np.zeros(self.dims)
        for word in sorted(totals):
            total += totals[word] * direction(word, self.dims)
        return total

    def weights(self, num_words: int) -> Vector:
        """Weights of the words by place: [W]."""
        return np.ones(num_words)

    def _room(self, front: Sequence[str]) -> int | None:
        return None if self.max_tokens is None else max(0, self.max_tokens - len(front))


@dataclass(frozen=True, kw_only=True)
class BagOfWords(Planted):
    """All words equally: blind to order, position and, as `reads_prompt` is off, to the instruction."""


@dataclass(frozen=True)
class FirstWords(Planted):
    """Only the first `num_read` words, equally."""

    num_read: int

    def weights(self, num_words: int) -> Vector:
        """One for the first words, nothing for the others."""
        return (np.arange(num_words) < self.num_read).astype(np.float64)


@dataclass(frozen=True)
class LastWords(Planted):
    """Only the last `num_read` words, equally; with 1, a model pooled at its last word that mixes no context."""

    num_read: int = 1

    def weights(self, num_words: int) -> Vector:
        """One for the last words, nothing for the others."""
        return (np.arange(num_words) >= num_words - self.num_read).astype(np.float64)


@dataclass(frozen=True)
class Decaying(Planted):
    """Weight falls with position: exp(-rate * place).

    Attributes:
        rate: Rate of the fall; 0 is a bag of words.
        per: The place is a share of the text (`text`: the same curve at every length, the first third weighs
            exp(2/3 rate) times the last) or a number of words (`word`).
    """

    rate: float
    per: Literal["text", "word"] = "text"

    def weights(self, num_words: int) -> Vector:
        """Weights by place, from 1 at the first word on."""
        scale = max(1, num_words) if self.per == "text" else 1
        return np.exp(-self.rate * np.arange(num_words) / scale)


@dataclass(frozen=True)
class OrderSensitive(Planted):
    """A bag of words and a bag of its neighbouring pairs, the pairs with `share` of the squared length.

    The cosine of a text with a reordering of itself that keeps a share p of the pairs is near 1 - share * (1 - p).

    Attributes:
        share: 0 is a bag of words, 1 sees the pairs alone.
    """

    share: float = 0.5

    def vector(self, words: Sequence[str], text: str) -> Vector:  # noqa: ARG002
        """Unit bag and unit pairs, mixed."""
        ends = ["\x02", *words, "\x03"]
        pairs = [f"{left} {right}" for left, right in pairwise(ends)]
        return np.sqrt(1 - self.share) * unit(self.bag(words)) + np.sqrt(self.share) * unit(self.bag(pairs))


@dataclass(frozen=True)
class Random(Planted):
    """A Gaussian drawn from the whole text: nothing a text says is seen.

    Attributes:
        rank: Dimensions that are used; None uses all.
        shared: Mean cosine of any two texts, by a direction that all have in common (a cone).
    """

    rank: int | None = None
    shared: float = 0.0

    def vector(self, words: Sequence[str], text: str) -> Vector:
        """A unit vector by chance, moved towards what all share: length 1 up to chance."""
        key = " ".join(words) if self.reads_prompt else text
        rank = self.rank or self.dims
        own = np.zeros(self.dims)
        own[:rank] = direction(f"text {key}", rank)
        return np.sqrt(self.shared) * direction("shared", self.dims) + np.sqrt(1 - self.shared) * own


@dataclass(frozen=True)
class Collapsing(Planted):
    """A bag of words that goes to one point with length: share n / (n + half) of the squared length is the same.

    The cosine of texts of n words without a word in common is near n / (n + half).

    Attributes:
        half: Words at which half is the same.
    """

    half: float = 200.0

    def vector(self, words: Sequence[str], text: str) -> Vector:  # noqa: ARG002
        """Unit bag and the common point, mixed."""
        same = len(words) / (len(words) + self.half)
        return np.sqrt(1 - same) * unit(self.bag(words)) + np.sqrt(same) * direction("collapsed", self.dims)


@dataclass(frozen=True, kw_only=True)
class Mapped(Planted):
    """Vectors as a test has them: a function of the text.

    Attributes:
        function: Gives the vector of a text: [D].
    """

    function: Callable[[str], Vector]

    def vector(self, words: Sequence[str], text: str) -> Vector:  # noqa: ARG002
        """What the function says."""
        return self.function(text)


def reads_prompt() -> BagOfWords:
    """A model that pools its instruction with the query: every instruction moves the vector."""
    return BagOfWords(template=INSTRUCTED, reads_prompt=True)


def ignores_prompt() -> BagOfWords:
    """A model that is given an instruction and leaves it out: none moves the vector."""
    return BagOfWords(template=INSTRUCTED)
