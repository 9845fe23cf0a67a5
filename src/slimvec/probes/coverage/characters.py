"""Characters of every script, one at a time: what can be measured without a sentence at hand.

A different measure from the one over sentences: a script counts by its characters, common and rare alike.
"""

from collections.abc import Mapping

import numpy as np

from slimvec.probes.estimates import estimated
from slimvec.probes.figures import show
from slimvec.probes.results import Metric
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import Values
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script

DEFINITION = (
    "Without sentences in many languages (--data with sib200), letters and marks of every script of Unicode are turned "
    "into tokens one at a time and back. Survive: the share that returns, case and composition aside; tokens: how many "
    "a character takes. Up to {most} characters are drawn from a script, the same for every model; intervals are a "
    "bootstrap over them. Rare characters count as much as common ones, so this is not a substitute for sentences."
)
_SIMPLE = "Latin"


def measure_characters(meter: CoverageMeter, *, most: int, seed: int) -> dict[str, Values]:
    """Measure the characters of each script: by script, [N, 2] of 0 or 1 for survived, and tokens.

    Args:
        meter: Meter of the tokenizer.
        most: N at most; drawn where a script has more.
        seed: Random seed for the draw.
    """
    generator = np.random.default_rng(seed)
    found = {}
    for script, characters in characters_by_script().items():
        chosen = sorted(generator.permutation(len(characters))[:most].tolist())
        rows = meter.measure([characters[number] for number in chosen])
        found[script] = np.array([[float(row.share == 1), float(row.num_tokens)] for row in rows])
    return found


def character_measures(found: Mapping[str, Values], *, seed: int) -> list[Metric]:
    """Give the share of characters that survive, over all scripts and by script; Latin is the baseline.

    Over all scripts the interval is one over scripts, each with the same weight.
    """
    simple = float(found[_SIMPLE][:, 0].mean())
    shares = np.array([[values[:, 0].mean()] for values in found.values()])
    rows = {"all scripts": shares, **{script: values[:, :1] for script, values in found.items()}}
    measures = []
    for name, values in rows.items():
        interval = bootstrap_intervals(values, seed=seed)[0]
        measures.append(
            estimated(
                f"characters that survive/{name}",
                interval,
                "share",
                baseline=simple,
                baseline_name=_SIMPLE,
                num_items=len(values),
                higher_is_better=True,
            )
        )
    return measures


def character_table(found: Mapping[str, Values]) -> Table:
    """Lay out the scripts, those that survive least first."""
    order = sorted(found, key=lambda script: (found[script][:, 0].mean(), script))
    rows = [
        (
            script,
            str(len(found[script])),
            show(float(found[script][:, 0].mean()), "share"),
            f"{found[script][:, 1].mean():.2f}",
        )
        for script in order
    ]
    return Table(
        title="Characters by script", header=("script", "characters", "survive", "tokens a character"), rows=tuple(rows)
    )


def character_plot(found: Mapping[str, Values]) -> Plot:
    """Draw how many characters of scripts survive, against how many tokens each takes."""
    values = np.array([rows.mean(axis=0) for rows in found.values()])
    curve = Curve(label="scripts", xs=tuple(values[:, 1].tolist()), ys=tuple(values[:, 0].tolist()))
    return Plot(
        title="Characters that survive, a point a script",
        x_label="tokens a character",
        y_label="characters that survive (share)",
        curves=(curve,),
        kind="points",
    )


def describe_characters(measures: list[Metric], found: Mapping[str, Values]) -> str:
    """Say what survives, with Tibetan called out."""
    whole = sum(bool((values[:, 0] == 1).all()) for values in found.values())
    tibetan = found["Tibetan"].mean(axis=0)
    return (
        f"Characters alone, not sentences: {show(measures[0].value, 'share')} of the characters of {len(found)} "
        f"scripts survive, each script with the same weight; {whole} scripts survive whole. Of Tibetan "
        f"{tibetan[0]:.1%} survive, at {tibetan[1]:.1f} tokens a character."
    )
