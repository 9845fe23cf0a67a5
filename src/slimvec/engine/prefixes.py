"""The vectors of all prefixes of a text, from one pass of a causal model.

Choose a truncation afterwards, watch a vector grow, or find the shortest prefix that answers a query.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from slimvec.engine.parts import HasParts, check_causal, check_fits, finish_vectors, read_text, run_states
from slimvec.errors import InputError, ModelError
from slimvec.model.running_pooling import running_pool
from slimvec.text.batch import PackedBatch
from slimvec.text.embeddings import Vectors
from slimvec.text.located import LocatedTokens
from slimvec.text.prompts import Role


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Vectors of prefixes.

    Attributes:
        vectors: [P, D] float32.
        ends: Characters of the text in each prefix.
        num_tokens: Tokens of each prefix, those of the prompt included.
    """

    vectors: Vectors
    ends: list[int]
    num_tokens: list[int]


def prefixes(
    parts: HasParts,
    text: str,
    *,
    role: Role = "document",
    task: str | None = None,
    at: Sequence[int] | None = None,
    dims: int | None = None,
) -> Prefixes:
    """Embed prefixes of a text in one pass.

    A prefix is made of the whole text's tokens. Where it ends within a word, its characters alone might be tokenised
    differently; cut at the ends of words to compare with texts embedded on their own. The prefix of a token that ends
    within a character counts that character as in.

    Args:
        parts: The embedder.
        text: Must fit into the model's limit.
        role: `query` or `document`.
        task: As for `Embedder.embed`.
        at: Where prefixes shall end, in characters; each takes the tokens that end there or before. Default: behind
            every token.
        dims: Width of the vectors, when fewer than the model's.

    Returns:
        P prefixes in the order of `at`.

    Raises:
        InputError: an offset outside the text or before the end of its first token, a text that is empty or too long.
        ModelError: a bidirectional model, `cls` pooling, or a tokenizer that closes texts with a special token.
    """
    parts = parts.for_role(role)
    _check_model(parts)
    tokens = read_text(parts, text, role=role, task=task)
    _check_open(tokens)
    check_fits(tokens, do="embed it by windows, or load the model with a larger max_tokens")
    ends = tokens.ends
    last = range(len(ends)) if at is None else [_last_token(ends, offset, len(text)) for offset in at]
    pooling = parts.spec.pooling
    start = 0 if pooling.include_prompt else tokens.prefix_length
    states = run_states(parts, PackedBatch.from_sequences([tokens.ids]))
    pooled = running_pool(states, pooling, start=start)[[tokens.first + number - start for number in last]]
    num_tokens = [tokens.first + number + 1 for number in last]
    return Prefixes(finish_vectors(pooled, parts, dims), [ends[number] for number in last], num_tokens)


def _check_model(parts: HasParts) -> None:
    check_causal(parts, "prefixes")
    if parts.spec.pooling.mode == "cls":
        raise ModelError("prefixes with cls pooling", expected="mean, weighted, beta or last pooling")


def _check_open(tokens: LocatedTokens) -> None:
    if tokens.closing:
        raise ModelError(
            f"prefixes with a tokenizer that closes every text with {len(tokens.closing)} special token(s)",
            expected="one that adds nothing behind a text",
            do="embed the prefixes one by one",
        )


def _last_token(ends: Sequence[int], offset: int, length: int) -> int:
    """Number of the last token that ends at an offset or before."""
    if not 0 <= offset <= length:
        raise InputError(f"offset {offset}", expected=f"0 to {length}, the length of the text")
    number = bisect_right(ends, offset) - 1
    if number < 0:
        raise InputError(
            f"offset {offset}", expected=f"at least {ends[0]}, where the first token ends", do="leave the offset out"
        )
    return number
