"""What texts of one kind say of tokenizers, and results that are made of such parts: characters, a user's file.

Characters of every script, one at a time, are what can be measured without a sentence at hand: a script counts by its
characters, common and rare alike.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slimvec.data.texts import read_texts
from slimvec.probes.coverage.counting import READ
from slimvec.probes.protocol import Probe, answered
from slimvec.probes.results import Figure, Metric, ProbeResult, curve, lay_out
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script, main_script

_SIMPLE = "Latin"
SURVIVE = Figure("characters that survive", "share", True, _SIMPLE)
FIGURES = (Figure("file: coverage", "share", True), Figure("file: pieces of characters", "share", False))
_SHOWN = 60
_WORST = 10


def named(part: ProbeResult, name: str) -> ProbeResult:
    """Name the tokenizer in front of the answer and of tables' titles, and behind the figure in metrics' names."""
    tables = tuple(table.model_copy(update={"title": f"{name}: {table.title}"}) for table in part.tables)
    measures = tuple(named_metrics(part.measures, name))
    return part.model_copy(update={"answer": f"{name}: {part.answer}", "measures": measures, "tables": tables})


def named_metrics(metrics: Sequence[Metric], name: str) -> list[Metric]:
    """Put a tokenizer's name behind the figure's in the names of metrics."""
    split = [metric.name.split("/", 1) for metric in metrics]
    names = [f"{figure}/{name}/{rest}" for figure, rest in split]
    return [metric.model_copy(update={"name": new}) for metric, new in zip(metrics, names, strict=True)]


def joined(parts: Sequence[ProbeResult], *, between: str = " ") -> ProbeResult:
    """Make one result of what several kinds of texts say; `between` stands between the answers."""
    return ProbeResult(
        probe=parts[0].probe,
        question=parts[0].question,
        definition=" ".join(dict.fromkeys(part.definition for part in parts)),
        sources=tuple(source for part in parts for source in part.sources),
        answer=between.join(part.answer for part in parts),
        measures=tuple(metric for part in parts for metric in part.measures),
        tables=tuple(table for part in parts for table in part.tables),
        plots=tuple(plot for part in parts for plot in part.plots),
        details={name: value for part in parts for name, value in part.details.items()},
    )


def character_part(probe: Probe, meter: CoverageMeter, *, most: int, seed: int) -> ProbeResult:
    """Give the share of characters that survive, and their tokens, by script; Latin is the baseline.

    Where a script has more than `most` characters, as many are drawn. Over all scripts the interval is one over
    scripts, each with the same weight.
    """
    generator = np.random.default_rng(seed)
    found = {}
    for script, characters in characters_by_script().items():
        chosen = sorted(generator.permutation(len(characters))[:most].tolist())
        counted = meter.measure([characters[number] for number in chosen])
        found[script] = np.array([[float(one.share == 1), float(one.num_tokens)] for one in counted])
    means = {script: tuple(values.mean(axis=0).tolist()) for script, values in found.items()}
    survive, tokens = zip(*means.values(), strict=True)
    rows = {"all scripts": np.array(survive)[:, None], **{script: values[:, :1] for script, values in found.items()}}
    metrics = [
        SURVIVE.metric(bootstrap_intervals(values, seed=seed)[0], len(values), name, baseline=means[_SIMPLE][0])
        for name, values in rows.items()
    ]
    order = sorted(means, key=lambda script: (means[script][0], script))
    whole = sum(bool((values[:, 0] == 1).all()) for values in found.values())
    return answered(
        probe,
        f"Characters alone, not sentences: {metrics[0].value:.1%} of the characters of {len(found)} scripts survive, "
        f"each script with the same weight; {whole} scripts survive whole. Of Tibetan {means['Tibetan'][0]:.1%} "
        f"survive, at {means['Tibetan'][1]:.1f} tokens a character.",
        metrics,
        part="characters",
        tables=[
            lay_out(
                "Characters by script",
                "script | characters | survive | tokens a character",
                "{0} | {1} | {2:.1%} | {3:.2f}",
                [(script, len(found[script]), *means[script]) for script in order],
            )
        ],
        plots=[
            Plot(
                title="Characters that survive, a point a script",
                x_label="tokens a character",
                y_label="characters that survive (share)",
                curves=(curve("scripts", survive, tokens),),
                kind="points",
            )
        ],
        most=most,
    )


def file_part(probe: Probe, meter: CoverageMeter, path: Path, *, seed: int) -> ProbeResult:
    """Measure the texts of a file: coverage and pieces, over all texts and by script, with intervals over the texts.

    Raises:
        InputError: the file cannot be read, or holds no texts.
    """
    texts = list(read_texts(path))
    found, scripts = meter.measure(texts), [main_script(text) for text in texts]
    metrics, rows = [], []
    for script in ("all texts", *dict.fromkeys(script or "no script" for script in scripts)):
        own = [one for one, its in zip(found, scripts, strict=True) if script in ("all texts", its or "no script")]
        values = np.array([(one.share, one.num_pieces / max(1, one.num_tokens)) for one in own])
        intervals = bootstrap_intervals(values, seed=seed)
        metrics += [fig.metric(one, len(own), script) for fig, one in zip(FIGURES, intervals, strict=True)]
        tokens, characters = (sum(getattr(one, name) for one in own) for name in ("num_tokens", "num_characters"))
        unknown = sum(one.num_unknown for one in own) / max(1, tokens)
        rows.append((script, len(own), intervals[0].value, unknown, tokens / max(1, characters)))
    worst = sorted(range(len(texts)), key=lambda number: (found[number].share, number))[:_WORST]
    return answered(
        probe,
        f"Of {path.name}, {metrics[0].value:.1%} of the characters of a text come back; "
        f"{sum(one.share < READ for one in found):,} of {len(found):,} texts lose more than {1 - READ:.0%}.",
        metrics,
        part="file",
        tables=[
            lay_out(
                "The file by script",
                "script | texts | coverage | unknown tokens | tokens a character",
                "{0} | {1:,} | {2:.1%} | {3:.1%} | {4:.2f}",
                rows,
            ),
            lay_out(
                "Its texts that are read worst",
                "number | script | coverage | text",
                "{0:,} | {1} | {2:.1%} | {3}",
                [(n + 1, scripts[n] or "none", found[n].share, texts[n][:_SHOWN]) for n in worst],
            ),
        ],
    )
