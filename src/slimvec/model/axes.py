"""Turning a model's vectors so that their first numbers alone keep the most of them.

For an orthogonal R no cosine of whole vectors changes, cos(x R, y R) = cos(x, y), while what the first w numbers hold
does. R is sought that brings the cosines of the first w numbers near to those of all:

    minimise over R   sum over w of mean over x, y of (cos((x R)[:w], (y R)[:w]) - cos(x, y))^2

by Adam on a matrix whose Q in a QR decomposition is R, over random batches. It begins with the principal axes, which
are no answer themselves: they keep length, much of which all texts have in common (docs/log.md).

Letters: N texts, D numbers of a vector.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import load_opened
from slimvec.model.head import Dense, Head
from slimvec.model.opening import OpenSettings, open_model
from slimvec.model.resaving import save_with_head
from slimvec.model.spec import DenseLayer, DropoutLayer, HeadLayer, ModelSpec, UnitLayer

LEAST_TEXTS = 200
"""Fewer say too little about how vectors lie."""
MOST_TEXTS = 10_000
"""More say nothing new: errors on texts left out are the same with 5,000."""
_STEPS, _BATCH, _LR = 300, 512, 4e-3


def sample(texts: Iterable[str], *, seed: int = 0) -> list[str]:
    """Draw at most `MOST_TEXTS` of any number of texts, in their order, without holding the others."""
    chance, kept = random.Random(seed), list[tuple[int, str]]()
    for number, text in enumerate(texts):
        if len(kept) < MOST_TEXTS:
            kept.append((number, text))
        elif (place := chance.randrange(number + 1)) < MOST_TEXTS:
            kept[place] = (number, text)
    return [text for _, text in sorted(kept)]


def check_texts(num: int) -> None:
    """Refuse texts that are too few.

    Raises:
        InputError: they are.
    """
    if num < LEAST_TEXTS:
        raise InputError(f"{num:,} texts to fit axes by", expected=f"at least {LEAST_TEXTS:,}")


def axis_widths(spec: ModelSpec, width: int, asked: Sequence[int] = ()) -> tuple[int, ...]:
    """Give the widths to turn vectors of `width` for: those asked for, those trained for, or halves down to 32.

    Raises:
        InputError: a width that is none, or of vectors that have no half.
    """
    halves = (width >> power for power in range(1, width.bit_length()))
    found = tuple(asked) or tuple(w for w in spec.trained_dims if w < width) or tuple(w for w in halves if w >= 32)
    if not found or not all(0 < w < width for w in found):
        said = ", ".join(map(str, found)) or "none"
        raise InputError(f"--dims {said}", expected=f"numbers from 1 to {width - 1:,}, below the model's width")
    return found


def fit_axes(vectors: Tensor, dims: Sequence[int], *, seed: int = 0) -> Tensor:
    """Find the R of the module.

    Args:
        vectors: [N, D] of texts like those that the model is for, of any length.
        dims: Widths w, each below D.
        seed: Random seed of the batches.

    Returns:
        R [D, D] float32, orthogonal.
    """
    num = len(vectors)
    units = F.normalize(vectors.float(), dim=-1)
    generator = torch.Generator().manual_seed(seed)
    free = torch.linalg.eigh(units.T @ units).eigenvectors.flip(1).requires_grad_()
    optimiser = torch.optim.Adam([free], lr=_LR)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0, total_iters=_STEPS)
    for _ in range(_STEPS):
        batch = units[torch.randint(num, (min(num, _BATCH),), generator=generator)]
        loss = cosine_errors(batch, _orthogonal(free), dims).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        decay.step()
    return _orthogonal(free.detach())


def _orthogonal(free: Tensor) -> Tensor:
    """Give Q of a matrix, with the signs that leave an orthogonal one as it is."""
    q, r = torch.linalg.qr(free)
    signed: Tensor = q * r.diagonal().sign()
    return signed


def cosine_errors(vectors: Tensor, rotation: Tensor, dims: Sequence[int]) -> Tensor:
    """Give by width the mean squared difference of cosines [len(dims)], each pair of vectors [N, D] counted."""
    units = F.normalize(vectors.float(), dim=-1)
    whole, turned = units @ units.T, units @ rotation
    narrow = [F.normalize(turned[:, :w], dim=-1) for w in dims]
    return torch.stack([(cut @ cut.T - whole).square().mean() for cut in narrow])


def turn_axes(model: EmbeddingModel, rotation: Tensor) -> None:
    """Turn the vectors of a model by R [D, D], in its last linear layer where it ends in one, else in a layer behind.

    Args:
        model: Changed in place, with its settings.
        rotation: R, as wide as the model's vectors or as a cut of them that is its default.
    """
    rotation = _widened(rotation, model.spec.full_width(model.backbone.dims))
    layers, modules = list(model.head.specs), list(model.head.layers)
    place = len(layers)
    while place and isinstance(layers[place - 1], UnitLayer | DropoutLayer):  # those do not see a rotation
        place -= 1
    rotation = rotation.to(next(model.head.parameters(), rotation).device)
    if place and _is_linear(layers[place - 1]):
        dense = modules[place - 1]
        assert isinstance(dense, Dense)
        with torch.no_grad():
            dense.linear.weight.copy_(rotation.T @ dense.linear.weight.float())
            if dense.linear.bias is not None:
                dense.linear.bias.copy_(dense.linear.bias.float() @ rotation)
        return
    width = len(rotation)
    layer = DenseLayer(in_dims=width, out_dims=width, bias=False, activation="Identity")
    head = Head([*layers[:place], layer, *layers[place:]], model.backbone.dims)
    for number, module in enumerate(modules):
        head.layers[number + (number >= place)] = module
    added = head.layers[place]
    assert isinstance(added, Dense)
    with torch.no_grad():
        added.linear.weight.copy_(rotation.T)
    model.head = head.to(rotation.device)
    model.spec = model.spec.replace(head=head.specs)


def _widened(rotation: Tensor, width: int) -> Tensor:
    """Leave the numbers behind a cut as they are."""
    whole = torch.eye(width)
    whole[: len(rotation), : len(rotation)] = rotation
    return whole


def save_turned(
    source: str | Path, rotation: Tensor, folder: Path, *, force: bool = False, **settings: Unpack[OpenSettings]
) -> None:
    """Write a model with its vectors turned.

    Args:
        source: As for `open_model`.
        rotation: As for `turn_axes`.
        folder: Must not exist, or `force`.
        force: Replace what is there.
        settings: As for `open_model`.

    Raises:
        ModelError: as for `open_model`; or queries and documents go through different modules.
        InputError: the folder exists.
        StorageError: it cannot be written.
    """
    opened = open_model(source, **settings)
    opened.check_one_route()
    model = load_opened(opened)
    turn_axes(model, rotation)
    save_with_head(model, opened, folder, merged=True, language_model=False, training=None, force=force)


def _is_linear(layer: HeadLayer) -> bool:
    return isinstance(layer, DenseLayer) and layer.activation == "Identity" and not layer.residual
