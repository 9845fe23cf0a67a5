"""Characters of every script, one at a time: what can be measured without a sentence at hand.

A different measure from the one over sentences: a script counts by its characters, common and rare alike.
"""

from collections.abc import Mapping

import numpy as np

from slimvec.probes.coverage.parts import Part
from slimvec.probes.figures import Figure, curve, lay_out
from slimvec.probes.protocol import read_methods
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import Values
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script

_SIMPLE = "Latin"
SURVIVE = Figure("characters that survive", "share", True, _SIMPLE)


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


def character_part(found: Mapping[str, Values], *, most: int, seed: int) -> Part:
    """Give the share of characters that survive, and their tokens, by script; Latin is the baseline.

    Over all scripts the interval is one over scripts, each with the same weight.

    Args:
        found: Characters by script, as `measure_characters` gives them.
        most: Characters of a script at most.
        seed: Random seed for the bootstrap.
    """
    means = {script: tuple(values.mean(axis=0).tolist()) for script, values in found.items()}
    survive, tokens = zip(*means.values(), strict=True)
    rows = {"all scripts": np.array(survive)[:, None], **{script: values[:, :1] for script, values in found.items()}}
    metrics = [
        SURVIVE.metric(bootstrap_intervals(values, seed=seed)[0], len(values), name, baseline=means[_SIMPLE][0])
        for name, values in rows.items()
    ]
    order = sorted(means, key=lambda script: (means[script][0], script))
    whole = sum(bool((values[:, 0] == 1).all()) for values in found.values())
    return Part(
        read_methods()["tokenizer/characters"].definition.format(most=most),
        f"Characters alone, not sentences: {metrics[0].value:.1%} of the characters of {len(found)} scripts survive, "
        f"each script with the same weight; {whole} scripts survive whole. Of Tibetan {means['Tibetan'][0]:.1%} "
        f"survive, at {means['Tibetan'][1]:.1f} tokens a character.",
        metrics,
        [
            lay_out(
                "Characters by script",
                "script | characters | survive | tokens a character",
                "{0} | {1} | {2:.1%} | {3:.2f}",
                [(script, len(found[script]), *means[script]) for script in order],
            )
        ],
        [
            Plot(
                title="Characters that survive, a point a script",
                x_label="tokens a character",
                y_label="characters that survive (share)",
                curves=(curve("scripts", survive, tokens),),
                kind="points",
            )
        ],
    )
