"""Word order, position and coverage of several models, by the probes of `slimvec probe` at a small size.

    python -m benchmarks.models_probes DATA PROBES.json --model slimvec-en --model minilm-l6 [--amount tiny]

Models are written as in `benchmarks.models`; those that the file has already stay where the amount is the same.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.models import Named
from slimvec.evaluation.vector_store import VectorStore
from slimvec.frozen import Frozen, Stored
from slimvec.probes.protocol import Probe, ProbeConfig
from slimvec.probes.registry import choose_probes
from slimvec.probes.results import Amount, Metric
from slimvec.probes.run import run_probes

PROBES = ("order", "position", "tokenizer")


class Reading(Frozen):
    """What a probe found.

    Attributes:
        main: Its main measure; None where it could not be run.
        answer: In words, or why it was not run.
    """

    main: Metric | None
    answer: str


class ProbeReadings(Stored):
    """What the probes found in several models.

    Attributes:
        amount: How much was drawn.
        models: By model and probe.
    """

    what: ClassVar[str] = "readings of benchmarks.models_probes"

    amount: Amount
    models: Mapping[str, Mapping[str, Reading]]


def read(named: Named, probes: Sequence[Probe], data: Path, amount: Amount) -> dict[str, Reading]:
    """Probe a model."""
    model = named.open()
    identity = model.card.identity
    config = ProbeConfig(data=data, amount=amount, source=named.source)
    store = None if identity is None else VectorStore(identity)
    report = run_probes(model, probes, config, store=store)
    return {found.probe: Reading(main=found.main, answer=found.answer or found.skipped) for found in report.readings}


def main() -> None:
    """Probe all models and write what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", action="append", type=Named.of, required=True)
    parser.add_argument("--amount", choices=["tiny", "quick", "full"], default="tiny")
    given = parser.parse_args()
    known = ProbeReadings.read(given.output) if given.output.exists() else None
    models = dict(known.models) if known is not None and known.amount == given.amount else {}
    probes = choose_probes(PROBES)
    for named in given.model:
        models[named.name] = read(named, probes, given.data, given.amount)
        ProbeReadings(amount=given.amount, models=models).write(given.output, force=True)
        print(named.name, *(f"{name}: {found.answer}" for name, found in models[named.name].items()), sep="\n  ")


if __name__ == "__main__":
    main()
