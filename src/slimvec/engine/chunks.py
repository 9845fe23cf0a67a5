"""Late chunking (arXiv 2409.04701): chunks of a document that know the document.

The document is run once, and each chunk is pooled from the states of its own tokens, so that "it" in a chunk carries
what "it" is. Works in both attention modes: in a causal model a chunk knows what stands before it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from slimvec.engine.chunk_borders import cut_by_tokens
from slimvec.engine.long_texts import LongTextPolicy, check_policy, plan_windows
from slimvec.engine.parts import HasParts, check_fits, finish_vectors, read_text, run_states
from slimvec.errors import InputError, ModelError
from slimvec.model.pooling import pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.embeddings import Vectors
from slimvec.text.located import LocatedTokens
from slimvec.text.prompts import Role

Runs = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Chunks:
    """Vectors of the chunks of a text.

    Attributes:
        vectors: [C, D] float32.
        spans: Characters (start, end) of each chunk.
        num_tokens: Tokens pooled for each chunk.
        num_windows: Passes that the text took; 1 when it fits into the model's limit.
        truncated: Whether the text was truncated.
    """

    vectors: Vectors
    spans: list[tuple[int, int]]
    num_tokens: list[int]
    num_windows: int
    truncated: bool


def embed_chunks(
    parts: HasParts,
    text: str,
    *,
    chunks: Sequence[tuple[int, int]] | None = None,
    chunk_tokens: int | None = None,
    role: Role = "document",
    task: str | None = None,
    dims: int | None = None,
    policy: LongTextPolicy = "error",
    overlap_tokens: int = 0,
) -> Chunks:
    """Embed the chunks of a text within the text.

    A token belongs to the chunk in which it ends. Weights are those of the model's pooling at the token's place in
    the whole text; neither prompt nor special tokens are pooled into a chunk.

    Args:
        parts: The embedder.
        text: The whole text.
        chunks: Characters (start, end) of each chunk; they may overlap, and need not cover the text. Either these or
            `chunk_tokens`.
        chunk_tokens: Cut the text into chunks of at most so many tokens, at ends of sentences or words if possible.
        role: `query` or `document`.
        task: As for `Embedder.embed`.
        dims: Width of the vectors, when fewer than the model's.
        policy: What to do with a text longer than the model's limit: `error`; `truncate`; or `window-mean`, which
            runs it by windows and takes each token's state from the first window that has it.
        overlap_tokens: Tokens that a window repeats of the one before, as context for what follows.

    Raises:
        InputError: both or neither of `chunks` and `chunk_tokens`, a span outside the text or without a token, a text
            that is empty or too long, an unknown policy, role or task.
        ModelError: `cls` pooling, which looks at no token of a chunk.
    """
    parts = parts.for_role(role)
    check_policy(policy, overlap_tokens)
    if (chunks is None) == (chunk_tokens is None):
        raise InputError(f"chunks {chunks} and chunk_tokens {chunk_tokens}", expected="one of the two")
    if chunk_tokens is not None and chunk_tokens < 1:
        raise InputError(f"chunk_tokens {chunk_tokens}", expected="at least 1")
    if parts.spec.pooling.mode == "cls":
        raise ModelError("chunks with cls pooling", expected="a pooling over the text's own tokens")
    tokens = read_text(parts, text, role=role, task=task)
    windows = _plan(tokens, policy, overlap_tokens)
    ends = tokens.ends[: windows[-1][1]]
    if chunk_tokens is not None:
        runs = cut_by_tokens(text, ends, chunk_tokens)
        borders = [0, *(ends[end - 1] for _, end in runs)]
        if len(ends) == tokens.num_own:
            borders[-1] = len(text)
        spans = list(pairwise(borders))
    else:
        spans = list(chunks or [])
        runs = [_tokens_of(number, span, ends, len(text)) for number, span in enumerate(spans)]
    if not runs:
        raise InputError("no chunks", expected="at least one")
    pooled = pool_runs(_own_states(parts, tokens, windows), runs, parts.spec.pooling, first=tokens.first)
    return Chunks(
        vectors=finish_vectors(pooled, parts, dims),
        spans=spans,
        num_tokens=[end - start for start, end in runs],
        num_windows=len(windows),
        truncated=len(ends) < tokens.num_own,
    )


def pool_runs(states: Tensor, runs: Runs, pooling: Pooling, *, first: int) -> Tensor:
    """Pool runs of a text's tokens, weighted by their places in the whole text.

    Args:
        states: [N, H] of the text's own tokens.
        runs: C runs (start, end) of them.
        pooling: Any but `cls`.
        first: Tokens before the text's own.

    Returns:
        [C, H] float32.
    """
    numbers = torch.cat([torch.arange(start, end) for start, end in runs])
    batch = PackedBatch.from_sequences([[0] * (end - start) for start, end in runs])
    placed = PackedBatch(batch.input_ids, numbers + first, batch.cu_seqlens, batch.prefix_lengths, batch.lengths)
    return pool(states[numbers], placed, pooling)


def _plan(tokens: LocatedTokens, policy: LongTextPolicy, overlap_tokens: int) -> Runs:
    """Windows of a text's own tokens under a policy."""
    if policy == "error":
        check_fits(tokens, do="choose the policy truncate or window-mean")
    if policy == "window-mean" and tokens.num_fitting < tokens.num_own:
        return plan_windows(tokens, overlap_tokens=overlap_tokens)
    return [(0, tokens.num_fitting)]


def _own_states(parts: HasParts, tokens: LocatedTokens, windows: Runs) -> Tensor:
    """Run windows one at a time, which bounds memory: states [N, H] of the tokens that they cover."""
    states = []
    done = 0
    for start, end in windows:
        sequence, _ = tokens.window(start, end)
        before = len(sequence) - len(tokens.closing) - (end - start)
        found = run_states(parts, PackedBatch.from_sequences([sequence]))
        states.append(found[before + done - start : before + end - start])
        done = end
    return torch.cat(states)


def _tokens_of(number: int, span: tuple[int, int], ends: Sequence[int], length: int) -> tuple[int, int]:
    """Tokens that end within a span of characters."""
    start, end = span
    if not 0 <= start < end <= length:
        raise InputError(
            f"chunk {number} is {start} to {end}", expected=f"0 <= start < end <= {length}, the length of the text"
        )
    run = bisect_right(ends, start), bisect_right(ends, end)
    if run[0] == run[1]:
        cut = f", and of the text only the first {ends[-1]} characters fit" if ends[-1] < length else ""
        raise InputError(
            f"chunk {number} ({start} to {end}) holds no token", expected="a token that ends in each chunk" + cut
        )
    return run
