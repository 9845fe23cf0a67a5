"""Vectors of tokens whose mean over a text is as near as it gets to a teacher's vector: a student without any layer.

    v(text) = W * (mean over the text's tokens of a_t),   loss = mean over texts of 1 - cos(v(text), teacher's vector)

W starts as the ridge regression on the tokens' vectors as they are given, and both are moved by Adam. A layer has word
order and context to add to that, so its cosine is what layers have to surpass; and where an adapter of token
embeddings begins with these vectors, the layers need not learn words.

Letters: V tokens, r numbers of a token, N texts, E numbers of the teacher.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from slimvec.training.batches.deals import IntArray, shuffled
from slimvec.training.step.head_regression import fit_ridge, paired_cosine

MAX_TEXTS = 100_000
"""Texts that are learnt from: more of them bring little, and their vectors are in memory at once."""
MIN_TEXTS = 20
"""Fewer say nothing of tokens."""
_HELD_OUT = 3000
_REGRESSION_TEXTS = 20_000
_EPOCHS = 3
_BATCH = 256
_BLOCK = 2048
_RATE = 0.05
"""As a multiple of the numbers' spread: of .05 and .15, the better for SmolLM2's tokens and MiniLM-L6."""
Targets = Callable[[IntArray], Tensor]


def fit_token_vectors(
    vectors: Tensor,
    sequences: Sequence[Sequence[int]],
    targets: Targets,
    *,
    seed: int,
    on_share: Callable[[float], None],
) -> tuple[Tensor, float | None]:
    """Move the vectors of tokens to where the module's formula wants them; tokens of no text stay.

    Args:
        vectors: [V, r] to begin with.
        sequences: Tokens of N texts; of many, some are drawn, and of few, nothing is learnt.
        targets: Numbers of n texts to the teacher's vectors of them, [n, E].
        seed: Random seed of the draws.
        on_share: Told how much is done.

    Returns:
        [V, r], and the mean cosine with the teacher on texts that were left out, at most a tenth; None of too few.
    """
    if len(sequences) < MIN_TEXTS:
        return vectors, None
    numbers = shuffled(np.arange(len(sequences)), seed, "token-vectors")[:MAX_TEXTS]
    wanted = _read(targets, numbers, lambda share: on_share(share / 2))
    bags = _Bags([sequences[number] for number in numbers])
    held = min(_HELD_OUT, len(numbers) // 10)
    table = nn.EmbeddingBag.from_pretrained(vectors / vectors.std(), freeze=False, mode="mean", sparse=True)
    first = np.arange(held, min(len(numbers), held + _REGRESSION_TEXTS))
    with torch.no_grad():
        matrix = nn.Parameter(fit_ridge(table(*bags.of(first)), wanted[held : held + len(first)])[0])
    optimizers = (
        torch.optim.SparseAdam(table.parameters(), lr=_RATE),
        torch.optim.Adam([matrix], lr=_RATE * float(matrix.detach().std())),
    )
    size = min(_BATCH, len(numbers) - held)
    per_epoch = (len(numbers) - held) // size
    falling = [torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, _EPOCHS * per_epoch) for o in optimizers]
    for step in range(_EPOCHS * per_epoch):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = shuffled(np.arange(held, len(numbers)), seed, "token-vectors", epoch)
        chosen = order[place * size : (place + 1) * size]
        loss = 1 - paired_cosine(table(*bags.of(chosen)) @ matrix.T, wanted[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(optimizers, falling, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        on_share(0.5 + (step + 1) / (_EPOCHS * per_epoch) / 2)
    with torch.no_grad():
        reached = paired_cosine(table(*bags.of(np.arange(held))) @ matrix.T, wanted[:held])
    return table.weight.detach(), float(reached)


def _read(targets: Targets, numbers: IntArray, on_share: Callable[[float], None]) -> Tensor:
    """Give the teacher's vectors of texts, which are on disk: [n, E]."""
    found = []
    for start in range(0, len(numbers), _BLOCK):
        on_share(start / len(numbers))
        found.append(targets(numbers[start : start + _BLOCK]))
    return torch.cat(found)


class _Bags:
    """Texts as bags of tokens."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self._tokens = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences])
        self._borders = np.cumsum([0, *map(len, sequences)])

    def of(self, numbers: IntArray) -> tuple[Tensor, Tensor]:
        """Give the tokens of some texts one behind the other, and where each text begins."""
        starts, ends = self._borders[numbers], self._borders[numbers + 1]
        tokens = [self._tokens[start:end] for start, end in zip(starts, ends, strict=True)]
        return torch.from_numpy(np.concatenate(tokens)), torch.from_numpy(np.cumsum([0, *(ends - starts)[:-1]]))
