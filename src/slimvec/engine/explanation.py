"""Why two texts are near: the exact share of each pair of tokens in their cosine.

Pooled vectors are weighted sums of token states, q = sum_i u_i s_i and d = sum_j v_j t_j, so their cosine is a sum over
pairs: cos = sum_ij (u_i s_i . v_j t_j) / (|q| |d|). Cutting to the first dims and scaling are linear and a factor: the
sum stays exact, with no gradient and no approximation. What a state holds of its context is counted for its own token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.engine.parts import HasParts, read_text, run_states
from slimvec.errors import InputError, ModelError
from slimvec.model.head import check_dims
from slimvec.model.pooling import token_weights
from slimvec.ranking.words import word_spans
from slimvec.text.batch import PackedBatch
from slimvec.text.located import LocatedTokens
from slimvec.text.prompts import Role

Shares = NDArray[np.float64]


def group_by_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Group the tokens of a text by words.

    A token that reaches into several words joins them; one that holds white space only stays alone.

    Args:
        text: The text.
        spans: Places of its N tokens, in order.

    Returns:
        Groups (start, end) of token numbers that follow each other from 0 to N.
    """
    words = word_spans(text)
    groups: list[tuple[int, int]] = []
    reach = -1  # the last word that the open group touches
    word = 0
    for number, (start, end) in enumerate(spans):
        while word < len(words) and words[word][1] <= start:
            word += 1
        last = word
        while last < len(words) and words[last][0] < end:
            last += 1
        touches = last > word and end > start
        if touches and word <= reach:
            groups[-1] = (groups[-1][0], number + 1)
        else:
            groups.append((number, number + 1))
        reach = max(reach, last - 1) if touches else reach
    return groups


@dataclass(frozen=True)
class TokenSpan:
    """A token, or several that make a word.

    Attributes:
        text: Its characters; the name of a special token.
        start: Where they begin, in the prompt or in the text.
        end: Where they end.
        is_prompt: Whether they are the prompt's; special tokens that open a text count as the prompt's too.
        is_special: Whether it is a special token, which has no characters.
    """

    text: str
    start: int
    end: int
    is_prompt: bool
    is_special: bool = False


@dataclass(frozen=True)
class ExplainedText:
    """One side of a cosine.

    Attributes:
        prompt: What was written in front of the text.
        text: The text.
        tokens: Its tokens, or words.
        num_truncated: Tokens that were truncated for the model's limit, and have no share.
    """

    prompt: str
    text: str
    tokens: list[TokenSpan]
    num_truncated: int


@dataclass(frozen=True)
class Pair:
    """A pair of tokens or words, and its share."""

    query: TokenSpan
    document: TokenSpan
    share: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Shares of token pairs, or of word pairs, in a cosine.

    Attributes:
        cosine: Cosine of the two vectors.
        shares: [Tq, Td] float64; they sum to the cosine.
        query: The query and its tokens.
        document: The document and its tokens.
    """

    cosine: float
    shares: Shares
    query: ExplainedText
    document: ExplainedText

    @property
    def query_tokens(self) -> list[TokenSpan]:
        """Tokens or words of the query, Tq."""
        return self.query.tokens

    @property
    def document_tokens(self) -> list[TokenSpan]:
        """Tokens or words of the document, Td."""
        return self.document.tokens

    def query_share(self) -> Shares:
        """Share of each of the query's tokens, over the whole document: [Tq]."""
        shares: Shares = self.shares.sum(axis=1)
        return shares

    def document_share(self) -> Shares:
        """Share of each of the document's tokens, over the whole query: [Td]."""
        shares: Shares = self.shares.sum(axis=0)
        return shares

    def top_pairs(self, num_pairs: int = 10, *, own_only: bool = False) -> list[Pair]:
        """Give the pairs with the largest shares by size, whatever their sign.

        Args:
            num_pairs: How many.
            own_only: Leave out prompts and special tokens.
        """
        sizes = np.abs(self.shares)
        if own_only:
            sizes = sizes * np.outer(_own(self.query_tokens), _own(self.document_tokens))
        best = np.argsort(-sizes, axis=None, kind="stable")[:num_pairs]
        places = [divmod(int(index), self.shares.shape[1]) for index in best if sizes.flat[index] > 0]
        return [Pair(self.query_tokens[i], self.document_tokens[j], float(self.shares[i, j])) for i, j in places]

    def by_word(self) -> "Explanation":
        """Add up the tokens of each word; scripts without spaces go by characters."""
        query, query_starts = _merge(self.query)
        document, document_starts = _merge(self.document)
        shares = np.add.reduceat(np.add.reduceat(self.shares, query_starts, axis=0), document_starts, axis=1)
        return replace(self, shares=shares, query=query, document=document)


def explain(
    parts: HasParts,
    query: str,
    document: str,
    *,
    query_role: Role = "query",
    document_role: Role = "document",
    task: str | None = None,
    dims: int | None = None,
) -> Explanation:
    """Take the cosine of a query and a document apart, exactly.

    Args:
        parts: The embedder, causal or bidirectional, with any pooling.
        query: One text.
        document: The other.
        query_role: Role of the one; it decides its prompt.
        document_role: Role of the other.
        task: As for `Embedder.embed`.
        dims: Width of the vectors, when fewer than the model's.

    Raises:
        InputError: an empty text, one without tokens, an unknown role or task, dims larger than the model's; vectors
            of zeros, which have no cosine.
    """
    sides = [
        _Side.run(parts, text, role, task, dims) for text, role in ((query, query_role), (document, document_role))
    ]
    scale = sides[0].vector.norm() * sides[1].vector.norm()
    if not scale > 0:
        raise InputError("a vector of zeros", expected="two vectors with a direction")
    shares = (sides[0].terms @ sides[1].terms.T / scale).numpy()
    cosine = float(sides[0].vector @ sides[1].vector / scale)
    return Explanation(cosine, shares, sides[0].text, sides[1].text)


@dataclass(frozen=True, eq=False)
class _Side:
    """A text as a sum of terms [T, D] float64, one a token, that add up to its vector [D]."""

    text: ExplainedText
    terms: Tensor
    vector: Tensor

    @classmethod
    def run(cls, parts: HasParts, text: str, role: Role, task: str | None, dims: int | None) -> "_Side":
        """Run a text and weigh its states as the model's pooling does."""
        parts = parts.for_role(role)
        tokens = read_text(parts, text, role=role, task=task)
        sequence, _ = tokens.window(0, tokens.num_fitting)
        batch = PackedBatch.from_sequences([sequence], [tokens.prefix_length])
        states = run_states(parts, batch).double()
        if not parts.head.is_linear:
            raise ModelError(
                "the model has layers behind its pooling that are not linear: a vector is not a sum over its tokens",
                expected="a model without, or with Dense modules that have no bias and no activation",
            )
        with torch.inference_mode():
            states = parts.head(states)
        width = dims or parts.spec.dims
        check_dims(width, states.shape[1])
        terms = token_weights(batch, parts.spec.pooling).double()[:, None] * states[:, :width]
        return cls(_explained(tokens, parts), terms, terms.sum(dim=0))


def _explained(tokens: LocatedTokens, parts: HasParts) -> ExplainedText:
    """Describe the tokens that were run."""
    border = len(tokens.prompt)
    spans = []
    for number, (start, end) in enumerate(tokens.spans[: tokens.first + tokens.num_fitting]):
        if number < tokens.first:
            special = end == 0
            text = _name(parts, tokens.ids[number]) if special else tokens.prompt[start:end]
            spans.append(TokenSpan(text, start, end, is_prompt=True, is_special=special))
        else:
            start, end = max(start - border, 0), end - border
            spans.append(TokenSpan(tokens.text[start:end], start, end, is_prompt=False))
    length = len(tokens.text)
    spans += [TokenSpan(_name(parts, i), length, length, is_prompt=False, is_special=True) for i in tokens.closing]
    return ExplainedText(tokens.prompt, tokens.text, spans, tokens.num_own - tokens.num_fitting)


def _name(parts: HasParts, token_id: int) -> str:
    """Name of a special token."""
    return parts.tokenizer.backend.id_to_token(token_id) or str(token_id)


def _merge(side: ExplainedText) -> tuple[ExplainedText, list[int]]:
    """Merge the tokens of words; give also the number of each word's first token."""
    words: list[TokenSpan] = []
    starts: list[int] = []
    for string, is_prompt in ((side.prompt, True), (side.text, False)):
        numbers = [number for number, token in enumerate(side.tokens) if token.is_prompt == is_prompt]
        spans = [(side.tokens[number].start, side.tokens[number].end) for number in numbers]
        for first, last in group_by_words(string, spans):
            words.append(_joined([side.tokens[number] for number in numbers[first:last]], string))
            starts.append(numbers[first])
    return replace(side, tokens=words), starts


def _joined(tokens: Sequence[TokenSpan], string: str) -> TokenSpan:
    """Make a word of its tokens, without the white space around it, if it is more than that."""
    start, end = tokens[0].start, max(token.end for token in tokens)
    text = string[start:end]
    if tokens[0].is_special or not text.strip():
        return tokens[0]
    start += len(text) - len(text.lstrip())
    return replace(tokens[0], text=text.strip(), start=start, end=start + len(text.strip()))


def _own(tokens: Sequence[TokenSpan]) -> NDArray[np.bool_]:
    """Which tokens are the text's own."""
    return np.asarray([not (token.is_prompt or token.is_special) for token in tokens])
