"""What a probe is: a question, and a way to put it to any model that can be evaluated."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from slimvec.errors import ModelError
from slimvec.evaluation.models import EvaluatedModel, Prompt, Usage
from slimvec.frozen import Frozen
from slimvec.probes.results import Amount, Metric, ProbeResult
from slimvec.progress import tell_nobody
from slimvec.reports.parts import Plot, Table
from slimvec.statistics.intervals import MIN_UNITS
from slimvec.text.embeddings import Vectors
from slimvec.text.prompts import Role
from slimvec.yaml_files import read_own_yaml

SHARES: Mapping[Amount, float] = {"tiny": 0.05, "quick": 0.25, "full": 1.0}
"""Shares of what is drawn at full amount."""


@dataclass(frozen=True)
class ProbeConfig:
    """What a probe is run with.

    Attributes:
        data: Folder with outside sets (`xquad`, `sugarcrepe`, `sib200`, ...); None has only what the probe makes
            itself.
        seed: Random seed for everything drawn.
        amount: How much is drawn: `full` for a report, `quick` for a look (about a quarter), `tiny` for a callback in
            training and for tests (about a twentieth).
        source: What the user called the model; for probes that need its files, such as the tokenizer's.
        text_file: A user's file, a text a line, where a probe can read one.
        max_tokens: Longest text that was asked for, for the probe of length; None leaves it to the probe.
        on_progress: Called with how many more texts are embedded.
    """

    data: Path | None = None
    seed: int = 0
    amount: Amount = "full"
    source: str = ""
    text_file: Path | None = None
    max_tokens: int | None = None
    on_progress: Callable[[int], None] = tell_nobody

    def count(self, full: int) -> int:
        """Give the number of items to draw where `full` are drawn for a report; at least what an interval needs."""
        return max(MIN_UNITS, min(full, round(full * SHARES[self.amount])))

    def folder(self, name: str) -> Path | None:
        """Give the folder of an outside set, or None where it is not at hand."""
        found = None if self.data is None else self.data / name
        return found if found is not None and found.is_dir() else None


class Probe(Protocol):
    """A probe: usually a frozen dataclass whose fields are its options, with `name` and `question` as ClassVar."""

    @property
    def name(self) -> str:
        """On the command line and in reports."""
        ...

    @property
    def question(self) -> str:
        """What it asks, in a sentence."""
        ...

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: an outside set that is there and malformed, or a user's file that cannot be read.
        """
        ...


def skipped(probe: Probe, reason: str) -> ProbeResult:
    """Give the result of a probe that cannot be run on a model, for a reason that says what would be needed."""
    return ProbeResult(probe=probe.name, question=probe.question, skipped=reason)


class Method(Frozen):
    """How a probe measures; what is the same for every model stands in `methods.yaml`.

    Attributes:
        definition: As in `ProbeResult`, with `{names}` for what is known when it is run.
        sources: As in `ProbeResult`.
        remedies: As in `ProbeResult`.
    """

    definition: str
    sources: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


@cache
def read_methods() -> Mapping[str, Method]:
    """Read the methods of all probes, by the probe's name; those of its parts by `PROBE/PART`."""
    found = read_own_yaml(__package__, "methods.yaml")
    return {name: Method.model_validate(method) for name, method in found.items()}


def answered(
    probe: Probe,
    answer: str,
    measures: Iterable[Metric],
    *,
    part: str = "",
    tables: Iterable[Table] = (),
    plots: Iterable[Plot] = (),
    skipped: str = "",
    num_texts: int = 0,
    details: Mapping[str, str | int | float] | None = None,
    **known: object,
) -> ProbeResult:
    """Give the result of a probe, or of a part of it that has its own method, with that method.

    Args:
        probe: Which one.
        answer: As in `ProbeResult`, like what follows.
        measures: The main one first.
        part: Name of the part; empty for the probe.
        tables: More of them, laid out.
        plots: Pictures.
        skipped: What part was not run, and why.
        num_texts: Texts embedded.
        details: Settings and counts worth keeping.
        known: What the method's definition leaves open, by name.
    """
    method = read_methods()[f"{probe.name}/{part}" if part else probe.name]
    return ProbeResult(
        probe=probe.name,
        question=probe.question,
        definition=method.definition.format(**known),
        sources=method.sources,
        answer=answer,
        measures=tuple(measures),
        tables=tuple(tables),
        plots=tuple(plots),
        remedies=method.remedies,
        skipped=skipped,
        num_texts=num_texts,
        details=details or {},
    )


def embed(
    model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig, *, role: Role | None = None, kind: str = "STS"
) -> Vectors:
    """Embed texts as the model wants them in a kind of task: [N, D] float32, of length 1.

    Args:
        model: Embeds.
        texts: N texts; repeated ones cost nothing twice where the model sees to it.
        config: Its `on_progress` is called.
        role: Side of retrieval; None where both sides are alike.
        kind: mteb's word for the task.

    Raises:
        ModelError: a vector is not finite.
    """
    prompt = model.prompt(Usage("probe", kind, role))
    return embed_with(model, texts, prompt, config)


def embed_with(model: EvaluatedModel, texts: Sequence[str], prompt: Prompt, config: ProbeConfig) -> Vectors:
    """Embed texts behind a prompt of the caller's: [N, D] float32, of length 1; errors as for `embed`."""
    found = model.embed(texts, role=prompt.role, task=prompt.task, on_progress=config.on_progress)
    return unit_vectors(found.vectors, texts)


def unit_vectors(vectors: Vectors, texts: Sequence[str]) -> Vectors:
    """Scale the vectors of texts to length 1: [N, D] float32.

    Raises:
        ModelError: one is not finite, which would make every figure of it NaN.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ModelError(
            f"the vector of {texts[bad[0]][:60]!r} is not finite", expected="numbers", do="load it with --dtype float32"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
