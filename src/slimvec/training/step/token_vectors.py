"""What a teacher makes of each token, as the beginning of an update of token embeddings.

    a_t = P w_t,   w_t = s_t (v_t - mean of v),   s_t = c / (c + p_t)

v_t is the teacher's vector of the token's text alone, p_t the token's share of the training texts' tokens (smooth
inverse frequency, Arora et al. 2017; c = .001 as there), and P the principal axes of the w_t, each counted as often as
its token. So words that the training never shows have a place beside their like, and frequent ones weigh little. Static
models are made of a teacher in this way (model2vec); here it is what the adapter begins with.

Letters: V tokens of the vocabulary, E width of the teacher's vectors, r rank.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.errors import InputError
from slimvec.statistics.principal_axes import principal_axes

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
_FREQUENCY = 1e-3
_BLOCK = 512
MAX_TOKENS = 50_000
"""The teacher is asked for so many tokens, those that the texts have most often: EmbeddingGemma, on one core, embeds 80
a second, and Gemma's vocabulary has 262,144."""


def token_vectors(
    backend: tokenizers.Tokenizer,
    sequences: Iterable[Sequence[int]],
    embed: Embed,
    *,
    vocabulary: int,
    rank: int,
    on_share: Callable[[float], None],
) -> Tensor:
    """Give what an adapter of token embeddings begins with: [V, r] float32, as in the module's formula.

    Tokens that are not text by themselves, as half a letter or punctuation, are zero, and so are those beyond
    `MAX_TOKENS`.

    Args:
        backend: The student's tokenizer.
        sequences: Tokens of the texts that are learnt from.
        embed: The teacher.
        vocabulary: V, rows of the student's embeddings; at least the tokenizer's tokens.
        rank: r.
        on_share: Told how much is embedded.

    Raises:
        InputError: the teacher's vectors are narrower than `rank`.
    """
    counts = np.bincount(np.fromiter(chain.from_iterable(sequences), np.int64), minlength=vocabulary)
    texts = [_text(backend.decode([n])) for n in range(min(vocabulary, backend.get_vocab_size(with_added_tokens=True)))]
    said = np.array([number for number, text in enumerate(texts) if text], dtype=np.int64)
    known = np.sort(said[np.argsort(-counts[said], kind="stable")][:MAX_TOKENS])
    words = sorted({texts[number] for number in known})
    vectors = _embed_all(words, embed, on_share)
    check_rank(rank, dims=vectors.shape[1])
    places = {word: place for place, word in enumerate(words)}
    found = vectors[[places[texts[number]] for number in known]]
    counts = counts[known]
    share = (counts + 0.5) / max(1, counts.sum())
    weighed = (found - found.mean(axis=0)) * (_FREQUENCY / (_FREQUENCY + share))[:, None]
    axes = principal_axes((weighed * (counts + 1)[:, None]).T @ weighed)
    result = np.zeros((vocabulary, rank), dtype=np.float32)
    result[known] = weighed @ axes[:, :rank]
    return torch.from_numpy(result)


def check_rank(rank: int, *, dims: int) -> None:
    """See that a teacher says enough of a token.

    Args:
        rank: Numbers of a token.
        dims: Width of the teacher's vectors.

    Raises:
        InputError: it says less.
    """
    if rank > dims:
        raise InputError(
            f"tuning.embedding_rank {rank} with a teacher of {dims} numbers",
            expected="at most the teacher's",
            do=f"set it to {dims} or less",
        )


def _text(decoded: str) -> str:
    """Give what a token says; nothing where it has no letter and no digit, or is part of one."""
    stripped = decoded.strip()
    return stripped if "\ufffd" not in stripped and any(char.isalnum() for char in stripped) else ""


def _embed_all(words: Sequence[str], embed: Embed, on_share: Callable[[float], None]) -> NDArray[np.float64]:
    """Ask the teacher for all words, a block at a time: [N, E]."""
    blocks = []
    for start in range(0, len(words), _BLOCK):
        on_share(start / len(words))
        blocks.append(embed(words[start : start + _BLOCK]).astype(np.float64))
    return np.concatenate(blocks)
