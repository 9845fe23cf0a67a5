"""Running probes on a model, one after the other, so that what one cannot read costs the others nothing."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from slimvec.errors import FetchError, ModelError, SlimvecError
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.ledger import Ledger
from slimvec.evaluation.models import EvaluatedModel
from slimvec.evaluation.results import package_versions
from slimvec.evaluation.vector_store import VectorStore
from slimvec.probes.protocol import Probe, ProbeConfig, skipped
from slimvec.probes.results import ProbeReport, ProbeResult

_PACKAGES = ("scipy", "sentence-transformers")


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
    """Run one probe, with its time and what it asked of the model; an error that is its own joins the list."""
    model.work = Ledger()
    start = perf_counter()
    try:
        result = probe.run(model, config)
    except (ModelError, FetchError) as error:
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
