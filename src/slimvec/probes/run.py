"""Running probes on a model, one after the other, so that what one cannot read costs the others nothing.

Probes while a model is trained: their measures beside those on held-out records, so one sees when a bias appears.

    validators = {name: ProbeValidator(probe) for name, probe in ...}
    train(recipe, output, validators=validators)

A probe draws from numpy's generators by its own seed, never from torch's, and the same items at every evaluation: a
curve shows the model's change alone, and the run goes on as if nobody had looked.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Protocol, runtime_checkable

from slimvec.engine.embedder import Embedder
from slimvec.errors import FetchError, InputError, ModelError, SlimvecError
from slimvec.evaluation.cached_model import CachedModel, HasPrompts
from slimvec.evaluation.models import EvaluatedModel, Ledger, ModelCard
from slimvec.evaluation.results import package_versions
from slimvec.evaluation.slimvec_model import EmbedderModel
from slimvec.evaluation.vector_store import VectorStore
from slimvec.probes.documents import CutOffError
from slimvec.probes.protocol import Probe, ProbeConfig, skipped
from slimvec.probes.results import ProbeReport, ProbeResult
from slimvec.text.embeddings import TextEmbedder
from slimvec.text.prompts import Prompts

_PACKAGES = ("scipy", "sentence-transformers")
_DEEPEST = 1
"""Slashes in the names of measures that are logged: what is further apart (by language, by template) rests on a few
items each at the amount drawn here."""


def run_probes(
    model: EvaluatedModel,
    probes: Sequence[Probe],
    config: ProbeConfig,
    *,
    store: VectorStore | None = None,
    on_probe: Callable[[Probe], None] | None = None,
    on_result: Callable[[ProbeResult], None] | None = None,
) -> ProbeReport:
    """Put the questions of probes to a model.

    A probe that the model does not bear, or for which nothing can be fetched, gives a result that says so; the others
    are run all the same.

    Args:
        model: The model.
        probes: Which, in this order.
        config: Configuration of all probes.
        store: Store of the model's vectors; None keeps them for this run only.
        on_probe: Called with each probe before it is run.
        on_result: Given each result as it is done.

    Raises:
        InputError: data is malformed, or a text cannot be embedded.
        StorageError: the store cannot be used.
        ModelError: no probe at all could be run.
        FetchError: likewise.
    """
    readings: list[ProbeResult] = []
    errors: list[SlimvecError] = []
    with ExitStack() as stack:
        if store is None:
            store = VectorStore("this run", Path(stack.enter_context(TemporaryDirectory())))
        kept = CachedModel(model, store)
        for probe in probes:
            if on_probe is not None:
                on_probe(probe)
            readings.append(_run(probe, kept, config, errors))
            if on_result is not None:
                on_result(readings[-1])
    if errors and len(errors) == len(probes):
        raise errors[0]
    return ProbeReport(
        model=model.card,
        readings=tuple(readings),
        amount=config.amount,
        seed=config.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=package_versions(_PACKAGES),
    )


def _run(probe: Probe, model: CachedModel, config: ProbeConfig, errors: list[SlimvecError]) -> ProbeResult:
    """Run one probe, with its time and what it asked of the model.

    An error that is its own joins the list; that nothing is left to ask a model of short texts is none.
    """
    model.work = Ledger()
    start = perf_counter()
    try:
        result = probe.run(model, config)
    except (ModelError, FetchError) as error:
        if not isinstance(error, CutOffError):
            errors.append(error)
        result = skipped(probe, str(error))
    work = model.work
    counted = {"tokens": work.num_tokens, "texts cut off": work.num_truncated} if work.num_texts else {}
    return result.model_copy(
        update={
            "seed": config.seed,
            "seconds": perf_counter() - start,
            "num_texts": max(result.num_texts, work.num_texts),
            "details": {**result.details, **counted},
        }
    )


@runtime_checkable
class HasLimit(Protocol):
    """An embedder that says how long a text it takes."""

    @property
    def max_tokens(self) -> int:
        """Longest document, in tokens."""
        ...


def embedder_to_probe(embedder: TextEmbedder, *, name: str = "model in training") -> EmbedderModel:
    """Take whatever embeds texts, a model in training for one, as something to probe.

    It has no identity, as its weights change, and a model without prompts where the embedder does not show them. Probes
    ask for no text longer than it takes, where it says how long that is.
    """
    prompts = embedder.prompts if isinstance(embedder, HasPrompts) else Prompts()
    prompts = embedder.spec.prompts if isinstance(embedder, Embedder) else prompts
    limit = embedder.max_tokens if isinstance(embedder, HasLimit) else None
    card = ModelCard(name=name, kind="training", identity=None, max_tokens=limit)
    return EmbedderModel(embedder, prompts, card)


@dataclass(frozen=True)
class ProbeValidator:
    """A probe as an evaluation of a training run (`slimvec.training.run.validation.Validator`).

    Attributes:
        probe: Asks.
        config: Configuration of the probe; a twentieth of the items, as it is asked again and again.
    """

    probe: Probe
    config: ProbeConfig = field(default_factory=lambda: ProbeConfig(amount="tiny"))

    def __call__(self, embedder: TextEmbedder) -> Mapping[str, float]:
        """Give the probe's measures by name, with `_` for spaces: the main ones, down to one `/`.

        Raises:
            InputError: the probe cannot be put to a model in training.
        """
        result = run_probes(embedder_to_probe(embedder), [self.probe], self.config).readings[0]
        if not result.measures:
            raise InputError(f"probe {result.probe} cannot be run in training: {result.skipped}", do="leave it out")
        kept = (measure for measure in result.measures if measure.name.count("/") <= _DEEPEST)
        return {measure.name.replace(" ", "_"): measure.value for measure in kept}


def probe_validators(probes: Sequence[Probe], *, seed: int = 0) -> dict[str, ProbeValidator]:
    """Give probes as evaluations by their names, of items drawn by a seed."""
    return {probe.name: ProbeValidator(probe, ProbeConfig(amount="tiny", seed=seed)) for probe in probes}
