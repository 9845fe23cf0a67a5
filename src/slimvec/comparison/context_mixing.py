"""How much a model mixes context into its states: 1 minus the self-similarity of tokens (Ethayarajh, arXiv 1909.00512).

The states of one token in different texts are compared. A model that gives each token a vector of its own, whatever
stands around it, has them all alike: mixing 0. Where a state is made of its context they have nothing in common:
mixing 1. Contextual models put all states into a narrow cone, which would pass for similarity; so their mean is taken
away first.

    u = (s - mean s) / |s - mean s|        mixing = 1 - mean over tokens of (mean over pairs of texts of u . u')

Under one causal layer of uniform attention, s_t = a x_t + (1 - a) mean of x_1 ... x_t, it falls with a, as the best
beta (1 - a) / a of the pooling family does.
"""

from collections.abc import Sequence

import numpy as np
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.text.batch import plan_batches

NUM_TEXTS = 200
_TOKEN_BUDGET = 4096


def measure_mixing(embedder: Embedder, texts: Sequence[str]) -> float:
    """Measure how much of a state comes from its context: about 0 to 1.

    Args:
        embedder: The model; its document prompt stands before the texts and is left out.
        texts: The first 200 different ones are taken.

    Raises:
        InputError: no token is in two of the texts.
    """
    chosen = list(dict.fromkeys(texts))[:NUM_TEXTS]
    tokenized = embedder.tokenizer.tokenize(chosen, prompt=embedder.spec.prompts.render("document"))
    tokens: list[int] = []
    rows = []
    for batch in plan_batches(tokenized.lengths, token_budget=_TOKEN_BUDGET):
        packed = tokenized.pack(batch)
        with torch.inference_mode():
            states = embedder.backbone(packed).float().cpu()
        kept = _first_occurrences(packed.input_ids.tolist(), packed.cu_seqlens.tolist(), packed.prefix_lengths.tolist())
        tokens += packed.input_ids[kept].tolist()
        rows.append(states[kept].numpy())
    return 1 - _self_similarity(np.array(tokens), np.concatenate(rows))


def _first_occurrences(tokens: Sequence[int], borders: Sequence[int], prompts: Sequence[int]) -> list[int]:
    """Give the places of each text's different tokens, behind its prompt: a text counts once for a token."""
    found = []
    for start, end, prompt in zip(borders, borders[1:], prompts, strict=False):
        seen: dict[int, int] = {}
        for place in range(start + prompt, end):
            seen.setdefault(tokens[place], place)
        found += list(seen.values())
    return found


def _self_similarity(tokens: np.ndarray, states: np.ndarray) -> float:
    """Give the mean cosine of states [N, H] of the same token, over tokens alike; their mean taken away first.

    Raises:
        InputError: no token comes twice.
    """
    centred = states - states.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-12)
    _, numbers, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), states.shape[1]))
    np.add.at(sums, numbers, units)
    often = counts > 1
    if not often.any():
        raise InputError("no token is in two of the texts", expected="texts with words in common")
    # The square of a sum of n unit vectors is n and twice the sum over pairs.
    pairs = ((sums[often] ** 2).sum(axis=1) - counts[often]) / (counts[often] * (counts[often] - 1))
    return float(pairs.mean())
