"""What tokenizers make of the same sentences, as a result: metrics, tables, plots and sentences of their figures."""

from collections.abc import Sequence

from slimvec.probes.coverage.counting import (
    CHARACTERS,
    COVERAGE,
    ENGLISH,
    FERTILITY,
    FIGURES,
    PIECES,
    READ,
    Measured,
    Ratio,
)
from slimvec.probes.results import Metric, curve, lay_out
from slimvec.reports.parts import Plot, Table
from slimvec.statistics.intervals import Interval

CALLED_OUT = {"bod_Tibt": "Tibetan", "dzo_Tibt": "Dzongkha"}
"""What users asked about."""
_BY_SCRIPT = (COVERAGE, FERTILITY, PIECES, CHARACTERS)
_PLOTTED = {
    FERTILITY: "Tokens for the same sentence, English = 1, of scripts that are read",
    COVERAGE: "Characters that come back from the tokens",
    PIECES: "Tokens that are not whole characters",
}
_HEADER = " | ".join(figure.name for figure in FIGURES)
_CELLS = " | ".join(f"{{{place}.value:{figure.form}}}" for place, figure in enumerate(FIGURES))
"""Columns of rows that begin with all figures."""


def metrics(measured: Measured) -> list[Metric]:
    """Give a tokenizer's metrics: over all languages, by script, and of the languages that are called out."""
    found = []
    for figure in FIGURES:
        rows = {"all languages" if figure.unit == "share" else "median language": measured.overall(figure)}
        if figure in _BY_SCRIPT:
            rows |= {script: measured.script(figure, script) for script in measured.sentences.by_script()}
        rows |= {name: measured.language(figure, name) for name in CALLED_OUT if name in measured.sentences.texts}
        english, num_sentences = measured.language(figure, ENGLISH).value, measured.sentences.num_sentences
        found += [figure.metric(one, num_sentences, name, baseline=english) for name, one in rows.items()]
    return found


def script_table(measured: Measured) -> Table:
    """Lay out a tokenizer's figures by script."""
    return lay_out(
        f"{measured.name}: by script",
        f"script | languages | {_HEADER}",
        f"{{7}} | {{8}} | {_CELLS}",
        [
            (*(measured.script(figure, script) for figure in FIGURES), script, count)
            for script, count in measured.scripts.items()
        ],
        "Each language of a script has the same weight.",
    )


def language_table(measured: Measured) -> Table:
    """Lay out a tokenizer's figures by language, with the interval of its fertility."""
    fertility = FIGURES.index(FERTILITY)
    rows = [
        (*(measured.language(figure, code) for figure in FIGURES), code, script)
        for code, script in measured.sentences.scripts.items()
    ]
    rows.sort(key=lambda row: (-measured.language(FERTILITY, str(row[7])).value, row[7]))
    return lay_out(
        f"{measured.name}: by language",
        f"language | script | {_HEADER} | fertility, 95% interval",
        f"{{7}} | {{8}} | {_CELLS} | {{{fertility}.low:.2f}} to {{{fertility}.high:.2f}}",
        rows,
    )


def comparison_table(figure: Ratio, several: Sequence[Measured]) -> Table:
    """Lay out a figure of several tokenizers by script."""
    shares, others = figure.unit == "share", several[0].sentences.others
    rows = [("all", str(len(others)), *(_cell(figure, own.overall(figure)) for own in several))]
    for script, count in several[0].scripts.items():
        read = [shares or own.reads(script) for own in several]
        cells = [_cell(figure, own.script(figure, script)) for own in several]
        rows.append((script, str(count), *(a if b else f"{a} not read" for a, b in zip(cells, read, strict=True))))
    return Table(
        title=f"{figure.name[0].upper()}{figure.name[1:]}, by script",
        header=("script", "languages", *(own.name for own in several)),
        rows=tuple(rows),
        note=f"With 95% intervals over the sentences. `all` is the {'mean' if shares else 'median'} over all languages "
        "but English."
        + ("" if shares else " Not read: less than 95% of the characters come back, and the rest takes no tokens."),
    )


def script_plots(several: Sequence[Measured]) -> tuple[Plot, ...]:
    """Draw what matters by script, a curve a tokenizer.

    What is not read takes few tokens, which would look like a merit, so it is left out.
    """
    scripts, plots = tuple(several[0].scripts), []
    for figure, title in _PLOTTED.items():
        shares, curves = figure.unit == "share", []
        for own in several:
            kept = [number for number, script in enumerate(scripts) if shares or own.reads(script)]
            curves.append(curve(own.name, [own.script(figure, scripts[number]) for number in kept], kept))
        if figure is FERTILITY:
            curves.append(curve("English", [1.0] * len(scripts), baseline=True))
        y_label = f"{figure.name} (share)" if shares else figure.name
        plots.append(
            Plot(title=title, x_label="script", y_label=y_label, curves=tuple(curves), kind="dots", categories=scripts)
        )
    return tuple(plots)


def describe(measured: Measured) -> str:
    """Say what a tokenizer reads, with Tibetan and Dzongkha called out where they are there."""
    others = measured.sentences.others
    num_read = sum(measured.language(COVERAGE, language).value >= READ for language in others)
    shares = {script: measured.script(COVERAGE, script).value for script in measured.scripts}
    lost = sorted((share, script) for script, share in shares.items() if share < READ)
    parts = [
        f"Of {len(others)} languages beside English, {measured.name} reads {num_read} ({READ:.0%} or more of the "
        f"characters come back from its tokens)",
        *([f"read worst: {', '.join(f'{script} {share:.0%}' for share, script in lost[:4])}"] if lost else []),
        f"the median language takes {measured.overall(FERTILITY):.2f} times the tokens of English",
        *(_describe_language(measured, language) for language in CALLED_OUT if language in others),
    ]
    return f"{'; '.join(parts)}."


def _describe_language(measured: Measured, language: str) -> str:
    """Say what becomes of a language."""
    kept, fertility, pieces, characters = (
        measured.language(figure, language) for figure in (COVERAGE, FERTILITY, PIECES, CHARACTERS)
    )
    called = f"{CALLED_OUT[language]} ({language})"
    if kept.value < READ:
        return f"{called} is not read: {kept:.1%} of its characters come back"
    return (
        f"{called} is read at {fertility:.2f} times the tokens of English, {pieces.value:.1%} of them pieces of "
        f"characters, so that {characters.value:,.0f} characters fit in 512 tokens"
    )


def _cell(figure: Ratio, found: Interval) -> str:
    return f"{found.value:{figure.form}} ({found.low:{figure.form}} to {found.high:{figure.form}})"
