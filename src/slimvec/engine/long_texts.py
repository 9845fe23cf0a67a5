"""Vectors of texts of any length, by a stated policy for those that are longer than the model's limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.engine.arguments import check_texts
from slimvec.engine.parts import HasParts, cut_vectors, finish_vectors
from slimvec.errors import InputError
from slimvec.model.pooling import pool
from slimvec.text.batch import plan_batches
from slimvec.text.embeddings import Vectors
from slimvec.text.located import LocatedTokens, locate
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import TokenizedTexts

LongTextPolicy = Literal["error", "truncate", "window-mean"]
"""What is done with a text that is too long: refuse it, cut it off (and count it), or run it by windows."""
POLICIES: tuple[LongTextPolicy, ...] = get_args(LongTextPolicy)
_TEXTS_PER_BLOCK = 1024
"""Texts whose windows are held at once; long texts are the point here, so few."""


def check_policy(policy: str, overlap_tokens: int) -> None:
    """Refuse a policy that there is not, and an overlap where there are no windows.

    Raises:
        InputError: always then.
    """
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r}", expected=f"one of {', '.join(POLICIES)}")
    if overlap_tokens < 0 or (overlap_tokens and policy != "window-mean"):
        raise InputError(
            f"overlap of {overlap_tokens} tokens with policy {policy}", expected="0, or more with policy window-mean"
        )


def plan_windows(tokens: LocatedTokens, *, overlap_tokens: int) -> list[tuple[int, int]]:
    """Cut a text's own tokens into windows that fit into the model's limit behind the prompt.

    Args:
        tokens: The text.
        overlap_tokens: Tokens that a window repeats of the one before.

    Returns:
        Windows (start, end) in the text's own tokens: all of the largest length but the last, which ends the text.

    Raises:
        InputError: an overlap that leaves a window nothing new.
    """
    room = tokens.max_tokens - max(tokens.first, len(tokens.head)) - len(tokens.closing)
    if overlap_tokens >= room:
        raise InputError(
            f"overlap of {overlap_tokens} tokens",
            expected=f"less: a window has room for {room} tokens behind the prompt",
        )
    step = room - overlap_tokens
    starts = range(0, max(tokens.num_own - overlap_tokens, 1), step)
    return [(start, min(start + room, tokens.num_own)) for start in starts]


@dataclass(frozen=True, eq=False)
class LongEmbeddings:
    """Vectors of texts, with what happened to the long ones.

    Attributes:
        vectors: [N, D] float32, in the order of the texts.
        num_tokens: Tokens run through the model; prompts and overlaps count in every window.
        num_truncated: Truncated texts.
        num_windows: Windows of each text; 1 for a text that fits.
    """

    vectors: Vectors
    num_tokens: int
    num_truncated: int
    num_windows: list[int]


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows of a block of texts: sequences, the text each belongs to, and its number of own tokens."""

    tokenized: TokenizedTexts
    texts: list[int]
    num_own: list[int]


def embed_long(
    parts: HasParts,
    texts: Sequence[str],
    *,
    policy: LongTextPolicy,
    overlap_tokens: int = 0,
    role: Role = "document",
    task: str | None = None,
    dims: int | None = None,
    token_budget: int = 4096,
) -> LongEmbeddings:
    """Embed texts of any length.

    With `window-mean` a long text is run in windows of the model's limit, each behind the prompt; their finished
    vectors are averaged by the number of the text's own tokens in them, and scaled again. Texts that fit have the
    vector they always have, whatever the policy.

    Args:
        parts: The embedder.
        texts: N texts. None may be empty.
        policy: `error`, `truncate` or `window-mean`.
        overlap_tokens: Tokens that a window repeats of the one before, as context for what follows; 0 costs least.
        role: `query` or `document`.
        task: As for `Embedder.embed`.
        dims: Width of the vectors, when fewer than the model's.
        token_budget: Most tokens in a batch.

    Raises:
        InputError: an unknown policy, an overlap that leaves no room, a long text under `error`; an empty text, one
            without tokens, an unknown role or task, dims larger than the model's.
    """
    check_policy(policy, overlap_tokens)
    check_texts(texts)
    prompt, parts = parts.spec.prompts.render(role, task), parts.for_role(role)
    vectors: list[Vectors] = []
    num_tokens = num_truncated = 0
    num_windows: list[int] = []
    for first in range(0, len(texts), _TEXTS_PER_BLOCK):
        block = texts[first : first + _TEXTS_PER_BLOCK]
        windows = _cut(parts, block, prompt, policy, overlap_tokens, first)
        vectors.append(_average(parts, windows, len(block), dims, token_budget))
        num_tokens += sum(windows.tokenized.lengths)
        num_truncated += windows.tokenized.num_truncated
        num_windows += np.bincount(windows.texts, minlength=len(block)).tolist()
    nothing = np.empty((0, dims or parts.dims), dtype=np.float32)
    return LongEmbeddings(np.concatenate(vectors or [nothing]), num_tokens, num_truncated, num_windows)


def _cut(
    parts: HasParts, texts: Sequence[str], prompt: str, policy: LongTextPolicy, overlap_tokens: int, first: int
) -> _Windows:
    """Tokenise texts, the long ones into windows where the policy says so."""
    plain = parts.tokenizer.tokenize(texts, prompt=prompt, first=first)
    windows = _Windows(TokenizedTexts([], [], []), [], [])
    for number, truncated in enumerate(plain.truncated):
        if truncated and policy == "error":
            raise InputError(
                f"text {first + number} ({texts[number][:40]!r}) is longer than {parts.tokenizer.max_tokens} tokens",
                expected="texts within the model's limit",
                do="choose the policy truncate or window-mean",
            )
        if truncated and policy == "window-mean":
            tokens = locate(parts.tokenizer, texts[number], prompt=prompt)
            places = plan_windows(tokens, overlap_tokens=overlap_tokens)
            pieces = [(*tokens.window(start, end), end - start, False) for start, end in places]
        else:
            pieces = [(plain.sequences[number], plain.prefix_lengths[number], 1, truncated)]
        for sequence, prefix_length, num_own, lost in pieces:
            windows.tokenized.sequences.append(sequence)
            windows.tokenized.prefix_lengths.append(prefix_length)
            windows.tokenized.truncated.append(lost)
            windows.texts.append(number)
            windows.num_own.append(num_own)
    return windows


def _average(parts: HasParts, windows: _Windows, num_texts: int, dims: int | None, token_budget: int) -> Vectors:
    """Embed windows and average those of each text: [N, D]."""
    sums: NDArray[np.float64] | None = None
    texts, num_own = np.asarray(windows.texts), np.asarray(windows.num_own, dtype=np.float64)
    for chosen in plan_batches(windows.tokenized.lengths, token_budget=token_budget):
        batch = windows.tokenized.pack(chosen)
        with torch.inference_mode():
            states = parts.backbone(batch)
            pooled = pool(states, batch.to(states.device), parts.spec.pooling).cpu()
        vectors = finish_vectors(pooled, parts, dims)
        if sums is None:
            sums = np.zeros((num_texts, vectors.shape[1]))
        np.add.at(sums, texts[chosen], vectors * num_own[chosen, None])
    assert sums is not None
    means = sums / np.bincount(texts, weights=num_own, minlength=num_texts)[:, None]
    return cut_vectors(torch.from_numpy(means).float(), parts, dims)
