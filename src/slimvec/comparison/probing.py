"""Probing the models of a study: what each sees of a text, beside what it finds."""

from collections.abc import Callable
from pathlib import Path

from slimvec.comparison.sections import Probing
from slimvec.comparison.shared_states import PooledReader
from slimvec.files import sha256_of
from slimvec.probes.protocol import ProbeConfig
from slimvec.probes.registry import PROBES, choose_probes
from slimvec.probes.results import ProbeResult
from slimvec.probes.run import embedder_to_probe, run_probes


def probe_reader(
    reader: PooledReader, probing: Probing, folder: Path, *, seed: int, on_progress: Callable[[int], None]
) -> tuple[ProbeResult, ...]:
    """Probe a model as a variant reads it. Tables and plots are left out: a study's report has its own.

    Args:
        reader: The model.
        probing: Which probes.
        folder: With outside sets.
        seed: Random seed for everything drawn, the same for all runs.
        on_progress: Called with how many more texts are embedded.

    Raises:
        InputError: there is no such probe, or an outside set is malformed.
        ModelError: none of the probes can be put to the model.
    """
    config = ProbeConfig(data=folder, seed=seed, amount=probing.amount, on_progress=on_progress)
    model = embedder_to_probe(reader, name="model of a study")
    report = run_probes(model, choose_probes(probing.names), config)
    return tuple(result.model_copy(update={"tables": (), "plots": ()}) for result in report.readings)


def outside_hashes(probing: Probing | None, folder: Path) -> dict[str, str]:
    """Hash what the probes of a study read in a folder of outside sets, by file; nothing where there is none of it."""
    if probing is None:
        return {}
    sets = {name for probe in probing.names for name in PROBES[probe].sets}
    files = (path for name in sorted(sets) for path in sorted((folder / name).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
