"""What texts of one kind say of tokenizers, and results that are made of such parts: characters, a user's file.

Characters of every script, one at a time, are what can be measured without a sentence at hand: a script counts by its
characters, common and rare alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from slimvec.data.texts import read_texts
from slimvec.probes.coverage.sentences_result import READ
from slimvec.probes.protocol import read_methods
from slimvec.probes.results import Figure, Metric, ProbeResult, curve, lay_out
from slimvec.reports.parts import Plot, Table
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import Values
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script, main_script

QUESTION = "Which scripts and languages can the tokenizer read, and at what price?"
_SIMPLE = "Latin"
SURVIVE = Figure("characters that survive", "share", True, _SIMPLE)
FIGURES = (Figure("file: coverage", "share", True), Figure("file: pieces of characters", "share", False))
_SHOWN = 60
_WORST = 10


@dataclass(frozen=True)
class Part:
    """What texts of one kind say.

    Attributes:
        definition: How it is measured.
        answer: What came out.
        metrics: The main one first; parts of their names are figure, and script or language.
        tables: Laid out.
        plots: Pictures.
        details: Counts worth keeping.
    """

    definition: str
    answer: str
    metrics: Sequence[Metric]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    details: Mapping[str, int] = field(default_factory=dict)

    def of(self, name: str) -> "Part":
        """Name the tokenizer: behind the figure in the metrics' names, in front of the answer and of tables' titles."""
        return replace(
            self,
            answer=f"{name}: {self.answer}",
            metrics=named(self.metrics, name),
            tables=[table.model_copy(update={"title": f"{name}: {table.title}"}) for table in self.tables],
        )


def named(metrics: Sequence[Metric], name: str) -> list[Metric]:
    """Put a tokenizer's name behind the figure's in the names of metrics."""
    renamed = []
    for metric in metrics:
        figure, rest = metric.name.split("/", 1)
        renamed.append(metric.model_copy(update={"name": f"{figure}/{name}/{rest}"}))
    return renamed


def joined(
    parts: Sequence[Part],
    *,
    probe: str,
    between: str,
    sources: tuple[str, ...],
    remedies: tuple[str, ...] = (),
    skipped: str = "",
    details: Mapping[str, int] | None = None,
) -> ProbeResult:
    """Make one result of what several kinds of texts say.

    Args:
        parts: In this order.
        probe: Name of the probe.
        between: Stands between the answers.
        sources: As in the result, like `remedies` and `skipped`.
        remedies: What helps.
        skipped: What was not measured.
        details: Stand before those of the parts.
    """
    return ProbeResult(
        probe=probe,
        question=QUESTION,
        definition=" ".join(dict.fromkeys(part.definition for part in parts)),
        sources=sources,
        answer=between.join(part.answer for part in parts),
        measures=tuple(metric for part in parts for metric in part.metrics),
        tables=tuple(table for part in parts for table in part.tables),
        plots=tuple(plot for part in parts for plot in part.plots),
        remedies=remedies,
        skipped=skipped,
        details={**(details or {}), **{name: count for part in parts for name, count in part.details.items()}},
    )


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


def file_part(meter: CoverageMeter, path: Path, *, seed: int) -> Part:
    """Measure the texts of a file: coverage and pieces, over all texts and by script, with intervals over the texts.

    Args:
        meter: Meter of the tokenizer.
        path: A file that `read_texts` reads.
        seed: Random seed for the bootstrap.

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
    return Part(
        read_methods()["tokenizer/file"].definition,
        f"Of {path.name}, {metrics[0].value:.1%} of the characters of a text come back; "
        f"{sum(one.share < READ for one in found):,} of {len(found):,} texts lose more than {1 - READ:.0%}.",
        metrics,
        [
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
