"""Averages of models: linear, spherical, and the greedy soup. One tensor of each parent is in memory at a time.

linear   w = sum_i a_i w_i, sum_i a_i = 1 (model soups, arXiv 2203.05482)
slerp    w = sin((1 - t) o) / sin(o) w_1 + sin(t o) / sin(o) w_2 for each tensor, o the angle between the two as
         vectors (Shoemake 1985, on weights as they are, not scaled to unit length); linear where they are parallel
soup     the greedy one of arXiv 2203.05482: parents in the order of their scores; each is added to the even
         average if the score does not get worse, so the result is never worse than the best parent
"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from slimvec.errors import InputError, ModelError
from slimvec.files import check_free
from slimvec.frozen import Frozen
from slimvec.model.adapters import merge_lora
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import load_model, load_opened, save_model
from slimvec.model.identity import essential_config, weights_sha256
from slimvec.model.lm_head import kept_head
from slimvec.model.opening import OpenedModel, open_model
from slimvec.model.weight_files import WeightFiles

Method = Literal["linear", "slerp"]
Score = Callable[[Path], float]

_PARALLEL = 1e-4


class Parent(Frozen):
    """A model that went into an average.

    Attributes:
        source: As it was named.
        sha256: SHA-256 of its weights, file after file.
        weight: Its share.
        score: By itself, in a soup.
    """

    source: str
    sha256: str
    weight: float
    score: float | None = None


class MergeRecord(Frozen):
    """How an average was made; `slimvec.json` holds it under `training.merge`.

    Attributes:
        method: `linear`, `slerp` or `soup`.
        parents: In the order they were named; those a soup left out have weight 0.
        score: Score of the result, in a soup.
    """

    method: str
    parents: tuple[Parent, ...]
    score: float | None = None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A parent, opened; an adapter is folded into whole weights first."""

    source: str
    opened: OpenedModel
    sha256: str


def merge_models(
    sources: Sequence[str],
    output: Path,
    *,
    method: Method = "linear",
    weights: Sequence[float] | None = None,
    force: bool = False,
) -> MergeRecord:
    """Average models of one architecture, tokenizer and spec.

    Args:
        sources: Folders or names, at least two; for slerp exactly two.
        output: Where the average shall appear.
        method: As in the module's formulas.
        weights: One for each, above 0; their sum is scaled to 1. Default: all alike.
        force: Replace what is there.

    Raises:
        InputError: too few or too many models, or weights that do not fit; or the output exists.
        ModelError: a model cannot be used, or differs from the first in more than its weights.
        StorageError: it cannot be written.
    """
    check_free(output, force=force)
    if len(sources) < 2 or (method == "slerp" and len(sources) > 2):
        wanted = "two" if method == "slerp" else "at least two"
        raise InputError(f"{len(sources)} models to merge by {method}", expected=wanted)
    shares = _shares(weights, len(sources))
    with tempfile.TemporaryDirectory() as work:
        candidates = _open_all(sources, Path(work))
        record = _record(method, candidates, shares)
        _save(_blend(candidates, shares, method), candidates, output, record, force=force)
    return record


def greedy_soup(sources: Sequence[str], output: Path, score: Score, *, force: bool = False) -> MergeRecord:
    """Average as many of the models as do not make the score worse.

    Args:
        sources: Folders or names, at least two.
        output: Where the average shall appear.
        score: Score of the model in a folder on held-out data; larger is better.
        force: Replace what is there.

    Raises:
        InputError: fewer than two models, or the output exists.
        ModelError: a model cannot be used, or differs from the first in more than its weights.
        StorageError: it cannot be written.
    """
    check_free(output, force=force)
    if len(sources) < 2:
        raise InputError(f"{len(sources)} models for a soup", expected="at least two")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        candidates = _open_all(sources, work)
        alone = [score(candidate.opened.folder) for candidate in candidates]
        ranked = sorted(range(len(sources)), key=lambda number: -alone[number])
        taken, best = ranked[:1], alone[ranked[0]]
        for number in ranked[1:]:
            trial = sorted([*taken, number])
            chosen = [candidates[n] for n in trial]
            with tempfile.TemporaryDirectory(dir=work) as folder:
                save_model(_blend(chosen, _shares(None, len(trial)), "linear"), Path(folder), force=True)
                found = score(Path(folder))
            if found >= best:
                taken, best = trial, found
        shares = [1 / len(taken) if number in taken else 0.0 for number in range(len(sources))]
        record = _record("soup", candidates, shares, alone, best)
        chosen = [candidates[n] for n in taken]
        _save(_blend(chosen, _shares(None, len(taken)), "linear"), chosen, output, record, force=force)
    return record


def linear(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Add tensors of one shape up by their shares."""
    total = torch.zeros_like(tensors[0])
    for tensor, share in zip(tensors, shares, strict=True):
        total.add_(tensor, alpha=share)
    return total


def slerp(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Go from the first of two tensors to the second, by the second's share, along the arc between them."""
    first, second = tensors
    lengths = first.norm() * second.norm()
    cosine = float((first * second).sum() / lengths) if lengths > 0 else 1.0
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if math.sin(angle) < _PARALLEL:
        return linear(tensors, shares)
    parts = [math.sin(share * angle) / math.sin(angle) for share in shares]
    return first * parts[0] + second * parts[1]


def _read(files: WeightFiles, name: str) -> Tensor:
    """Read a tensor of the bare model as float32; a file may name it with a prefix, as `model.` of one with a head.

    Raises:
        ModelError: there is none of that name, or more than one.
    """
    found = [key for key in files.names if key == name] or [key for key in files.names if key.endswith(f".{name}")]
    if len(found) != 1:
        raise ModelError(f"{files.folder} has {len(found)} tensors {name}", expected="one")
    return files.read(found[0]).float()


def _blend(candidates: Sequence[_Candidate], shares: Sequence[float], method: Method) -> EmbeddingModel:
    """Load the first model and put the average in the place of its weights, tensor by tensor."""
    first = candidates[0].opened
    stored = first.config.get("dtype", first.config.get("torch_dtype"))
    model = load_opened(first, dtype=torch.bfloat16 if stored == "bfloat16" else torch.float32)
    average = {"linear": linear, "slerp": slerp}[method]
    weights = [WeightFiles(candidate.opened.weights) for candidate in candidates]
    for files in weights:
        files.check_finite()
    with torch.no_grad():
        for name, parameter in model.backbone.hf_model.named_parameters():
            tensors = [_read(files, name) for files in weights]
            if any(tensor.shape != parameter.shape for tensor in tensors):
                shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
                raise ModelError(f"tensor {name} has the shapes {shapes}", expected="one shape")
            parameter.copy_(average(tensors, shares))
        heads = [candidate.opened.head().parameters() for candidate in candidates]
        for parameter, *tensors in zip(model.head.parameters(), *heads, strict=True):
            parameter.copy_(average(tensors, shares))
    return model


def _save(
    model: EmbeddingModel, parents: Sequence[_Candidate], output: Path, record: MergeRecord, *, force: bool
) -> None:
    """Save an average; where all parents write with weights of their own, so does it, with the head they share."""
    heads = [kept_head(parent.opened, model.backbone, wanted=False) for parent in parents]
    head = None if None in heads else heads[0]
    save_model(model, output, training=_as_training(record), language_head=head, force=force)


def _open_all(sources: Sequence[str], work: Path) -> list[_Candidate]:
    """Open the parents, adapters as merged copies, and see that they differ in their weights alone."""
    candidates = []
    for number, source in enumerate(sources):
        opened = open_model(source)
        opened.check_one_route()
        if opened.is_adapter:
            model = load_model(source)
            merge_lora(model.backbone)
            head = kept_head(opened, model.backbone, wanted=False)
            save_model(model, work / f"merged-{number}", language_head=head)
            opened = open_model(work / f"merged-{number}")
        candidates.append(_Candidate(source, opened, weights_sha256(opened.weights)))
    for other in candidates[1:]:
        _check_alike(candidates[0], other)
    return candidates


def _check_alike(first: _Candidate, other: _Candidate) -> None:
    """See that an average of two models means something.

    Raises:
        ModelError: they differ in architecture, settings or tokenizer.
    """
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("config", essential_config(first.opened.config), essential_config(other.opened.config)),
        ("settings", first.opened.spec.model_dump(), other.opened.spec.model_dump()),
    ]
    for what, one, two in pairs:
        for key in sorted({*one, *two}):
            if one.get(key) != two.get(key):
                raise ModelError(
                    f"{first.source} and {other.source} differ in their {what}: {key} is {one.get(key)!r} and "
                    f"{two.get(key)!r}",
                    expected="models that differ in their weights alone",
                )
    if first.opened.tokenizer().backend.to_str() != other.opened.tokenizer().backend.to_str():
        raise ModelError(f"{first.source} and {other.source} have different tokenizers", expected="the same")


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Scale weights to a sum of 1.

    Raises:
        InputError: not one for each, or one that is not above 0.
    """
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count or not all(math.isfinite(weight) and weight > 0 for weight in given):
        raise InputError(f"weights {given} for {count} models", expected="one above 0 for each")
    return [weight / sum(given) for weight in given]


def _record(
    method: str,
    candidates: Sequence[_Candidate],
    shares: Sequence[float],
    scores: Sequence[float] | None = None,
    score: float | None = None,
) -> MergeRecord:
    """Write down what went into an average."""
    found: Sequence[float | None] = [None] * len(candidates) if scores is None else scores
    parents = [
        Parent(source=candidate.source, sha256=candidate.sha256, weight=share, score=alone)
        for candidate, share, alone in zip(candidates, shares, found, strict=True)
    ]
    return MergeRecord(method=method, parents=tuple(parents), score=score)


def _as_training(record: MergeRecord) -> dict[str, Any]:
    return {"merge": record.model_dump(mode="json")}
