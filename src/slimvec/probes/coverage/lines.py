"""A user's own file: what a tokenizer reads of it, by the script each text is written in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slimvec.data.readers import read_texts
from slimvec.probes.estimates import estimated
from slimvec.probes.figures import show
from slimvec.probes.results import Metric
from slimvec.reports.parts import Table
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.text.coverage import CoverageMeter, TextCoverage
from slimvec.text.scripts import main_script

_SHOWN = 60
_WORST = 10


def measure_file(meter: CoverageMeter, path: Path) -> tuple[list[str], list[TextCoverage]]:
    """Measure the texts of a file.

    Args:
        meter: Meter of the tokenizer.
        path: A file that `read_texts` reads.

    Raises:
        InputError: the file cannot be read, or holds no texts.
    """
    texts = list(read_texts(path))
    return texts, meter.measure(texts)


def file_measures(texts: Sequence[str], found: Sequence[TextCoverage], *, seed: int) -> list[Metric]:
    """Give the coverage and the share of pieces, over all texts and by script, with intervals over the texts."""
    measures = []
    for script, members in _groups(texts).items():
        rows = [(found[i].share, found[i].num_pieces / max(1, found[i].num_tokens)) for i in members]
        names = (("coverage", True), ("pieces of characters", False))
        for (name, better), interval in zip(names, bootstrap_intervals(np.array(rows), seed=seed), strict=True):
            measures.append(
                estimated(
                    f"file: {name}/{script}",
                    interval,
                    "share",
                    num_items=len(members),
                    higher_is_better=better,
                )
            )
    return measures


def file_tables(texts: Sequence[str], found: Sequence[TextCoverage]) -> tuple[Table, Table]:
    """Lay out the file by script, and its texts that are read worst."""
    rows = []
    for script, members in _groups(texts).items():
        tokens = sum(found[i].num_tokens for i in members)
        characters = sum(found[i].num_characters for i in members)
        unknown = sum(found[i].num_unknown for i in members)
        mean = float(np.mean([found[i].share for i in members]))
        cells = [show(mean, "share"), show(unknown / max(1, tokens), "share"), f"{tokens / max(1, characters):.2f}"]
        rows.append((script, f"{len(members):,}", *cells))
    order = sorted(range(len(texts)), key=lambda i: (found[i].share, i))[:_WORST]
    worst = [
        (f"{i + 1:,}", main_script(texts[i]) or "none", show(found[i].share, "share"), texts[i][:_SHOWN]) for i in order
    ]
    return (
        Table(
            title="The file by script",
            header=("script", "texts", "coverage", "unknown tokens", "tokens a character"),
            rows=tuple(rows),
        ),
        Table(
            title="Its texts that are read worst", header=("number", "script", "coverage", "text"), rows=tuple(worst)
        ),
    )


def describe_file(path: Path, measures: Sequence[Metric], found: Sequence[TextCoverage]) -> str:
    """Say how much of the file is read."""
    low = sum(one.share < 0.95 for one in found)
    return (
        f"Of {path.name}, {show(measures[0].value, 'share')} of the characters of a text come back; "
        f"{low:,} of {len(found):,} texts lose more than 5%."
    )


def _groups(texts: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the texts: all of them, then by script."""
    groups: dict[str, list[int]] = {"all texts": list(range(len(texts)))}
    for number, text in enumerate(texts):
        groups.setdefault(main_script(text) or "no script", []).append(number)
    return groups
