"""Figures of one or several tokenizers, laid out: measures, tables and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.probes.coverage.counting import (
    CHARACTERS,
    COVERAGE,
    FERTILITY,
    FIGURES,
    PIECES,
    Estimates,
    Figure,
)
from slimvec.probes.coverage.sentences import ENGLISH, ParallelSentences
from slimvec.probes.estimates import estimated, estimated_curve
from slimvec.probes.results import Metric
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import Interval

CALLED_OUT = ("bod_Tibt", "dzo_Tibt")
"""Tibetan and Dzongkha: what users asked about."""
READ = 0.95
"""Share of the characters above which a language or a script counts as read."""
_BY_SCRIPT = (COVERAGE, FERTILITY, PIECES, CHARACTERS)
_PLOTTED = {
    FERTILITY: "Tokens for the same sentence, English = 1, of scripts that are read",
    COVERAGE: "Characters that come back from the tokens",
    PIECES: "Tokens that are not whole characters",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """A tokenizer's figures on sentences.

    Attributes:
        name: Name of the tokenizer.
        vocabulary: Its tokens.
        sentences: What it was measured on.
        estimates: By figure.
    """

    name: str
    vocabulary: int
    sentences: ParallelSentences
    estimates: Mapping[str, Estimates]

    def language(self, figure: Figure, language: str) -> Interval:
        """A figure of a language."""
        return self.estimates[figure.name].of([self.sentences.languages.index(language)])

    def script(self, figure: Figure, script: str) -> Interval:
        """A figure of a script: the mean over its languages."""
        members = self.sentences.by_script()[script]
        return self.estimates[figure.name].of([self.sentences.languages.index(member) for member in members])

    def reads(self, script: str) -> bool:
        """Whether a script counts as read."""
        return self.script(COVERAGE, script).value >= READ

    def overall(self, figure: Figure) -> Interval:
        """A figure over all languages but English: the mean, or for ratios and lengths the median."""
        members = [i for i, language in enumerate(self.sentences.languages) if language != ENGLISH]
        return self.estimates[figure.name].of(members, np.mean if figure.unit == "share" else np.median)

    @property
    def scripts(self) -> list[str]:
        """Scripts from the one that takes the fewest tokens to the one that takes most."""
        return sorted(self.sentences.by_script(), key=lambda script: (self.script(FERTILITY, script).value, script))


def measures(measured: Measured) -> list[Metric]:
    """List a tokenizer's measures: over all languages, by script, and of the languages that are called out."""
    found = []
    for figure in FIGURES:
        over = "all languages" if figure.unit == "share" else "median language"
        rows = [(over, measured.overall(figure))]
        if figure in _BY_SCRIPT:
            rows += [(script, measured.script(figure, script)) for script in sorted(measured.sentences.by_script())]
        rows += [(name, measured.language(figure, name)) for name in CALLED_OUT if name in measured.sentences.texts]
        english = measured.language(figure, ENGLISH).value
        found += [_measure(figure, name, interval, english, measured) for name, interval in rows]
    return found


def script_table(measured: Measured) -> Table:
    """Lay out a tokenizer's figures by script."""
    groups = measured.sentences.by_script()
    rows = []
    for script in measured.scripts:
        cells = [shown(figure, measured.script(figure, script).value) for figure in FIGURES]
        rows.append((script, str(len(groups[script])), *cells))
    return Table(
        title=f"{measured.name}: by script",
        header=("script", "languages", *(figure.name for figure in FIGURES)),
        rows=tuple(rows),
        note="Each language of a script has the same weight.",
    )


def language_table(measured: Measured) -> Table:
    """Lay out a tokenizer's figures by language, with the interval of its fertility."""
    rows = []
    for language in measured.sentences.languages:
        found = {figure: measured.language(figure, language) for figure in FIGURES}
        cells = [shown(figure, interval.value) for figure, interval in found.items()]
        interval = f"{found[FERTILITY].low:.2f} to {found[FERTILITY].high:.2f}"
        rows.append((language, measured.sentences.scripts[language], *cells, interval))
    rows.sort(key=lambda row: (-measured.language(FERTILITY, row[0]).value, row[0]))
    header = ("language", "script", *(figure.name for figure in FIGURES), "fertility, 95% interval")
    return Table(title=f"{measured.name}: by language", header=header, rows=tuple(rows))


def comparison_table(figure: Figure, several: Sequence[Measured]) -> Table:
    """Lay out a figure of several tokenizers by script."""
    first = several[0]
    groups = first.sentences.by_script()
    overall = [_with_interval(figure, measured.overall(figure)) for measured in several]
    rows = [("all", str(len(first.sentences.languages) - 1), *overall)]
    for script in first.scripts:
        cells = [_script_cell(figure, measured, script) for measured in several]
        rows.append((script, str(len(groups[script])), *cells))
    middle = "mean" if figure.unit == "share" else "median"
    lost = (
        ""
        if figure.unit == "share"
        else " Not read: less than 95% of the characters come back, and the rest takes no tokens."
    )
    return Table(
        title=f"{figure.name[0].upper()}{figure.name[1:]}, by script",
        header=("script", "languages", *(measured.name for measured in several)),
        rows=tuple(rows),
        note=f"With 95% intervals over the sentences. `all` is the {middle} over all languages but English.{lost}",
    )


def script_plots(several: Sequence[Measured]) -> tuple[Plot, ...]:
    """Draw what matters by script, a curve a tokenizer."""
    return tuple(_plot(figure, several) for figure in _PLOTTED)


def _plot(figure: Figure, several: Sequence[Measured]) -> Plot:
    scripts = several[0].scripts
    curves = [_curve(figure, measured, scripts) for measured in several]
    if figure is FERTILITY:
        places = tuple(float(number) for number in range(len(scripts)))
        curves.append(Curve(label="English", xs=places, ys=(1.0,) * len(places), baseline=True))
    return Plot(
        title=_PLOTTED[figure],
        x_label="script",
        y_label=figure.name if figure.unit == "ratio" else f"{figure.name} (share)",
        curves=tuple(curves),
        kind="dots",
        categories=tuple(scripts),
    )


def _curve(figure: Figure, measured: Measured, scripts: Sequence[str]) -> Curve:
    """A figure by script; what is not read takes few tokens, which would look like a merit, so it is left out."""
    kept = [n for n, script in enumerate(scripts) if figure.unit == "share" or measured.reads(script)]
    found = [measured.script(figure, scripts[number]) for number in kept]
    return estimated_curve(measured.name, [float(number) for number in kept], found)


def _measure(figure: Figure, name: str, interval: Interval, english: float, measured: Measured) -> Metric:
    return estimated(
        f"{figure.name}/{name}",
        interval,
        figure.unit,
        baseline=english,
        baseline_name="English",
        num_items=measured.sentences.num_sentences,
        higher_is_better=figure.higher_is_better,
    )


def shown(figure: Figure, value: float) -> str:
    """Write a figure's value as its unit wants it."""
    if figure.unit == "share":
        return f"{value:.1%}"
    return f"{value:.2f}" if figure.unit == "ratio" else f"{value:,.0f}"


def _script_cell(figure: Figure, measured: Measured, script: str) -> str:
    cell = _with_interval(figure, measured.script(figure, script))
    return cell if figure.unit == "share" or measured.reads(script) else f"{cell} not read"


def _with_interval(figure: Figure, interval: Interval) -> str:
    ends = f"{shown(figure, interval.low)} to {shown(figure, interval.high)}"
    return f"{shown(figure, interval.value)} ({ends})"
