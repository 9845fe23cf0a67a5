"""Reports of probes as a folder: one HTML page, Markdown with its pictures, and JSON with all that stands behind them.

One model's report, or those of two side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from slimvec.evaluation.models import ModelCard
from slimvec.files import atomic_folder
from slimvec.probes.results import ProbeReport, ProbeResult, difference, show, show_baseline, show_measure
from slimvec.reports.blocks import Block, Heading, Items, Paragraph, Picture, write_pages
from slimvec.reports.drawing import draw
from slimvec.reports.parts import Curve, Plot, Table, pairs_table

_FILES = ("report", "against")


def pair_results(reports: Sequence[ProbeReport]) -> list[tuple[ProbeResult, ...]]:
    """Give the readings of each probe, one of each report.

    Raises:
        ValueError: the reports are not of the same probes.
    """
    return list(zip(*(report.readings for report in reports), strict=True))


def pair_plots(readings: Sequence[ProbeResult], names: Sequence[str]) -> list[tuple[Plot, Plot | None]]:
    """Give the plots to be drawn: those of one title and form in one frame, the others by themselves.

    A plot that only one of two models has is called after it.
    """
    if len(readings) == 1:
        return [(plot, None) for plot in readings[0].plots]
    others = {_form(plot): plot for plot in readings[1].plots}
    pairs: list[tuple[Plot, Plot | None]] = []
    for plot in readings[0].plots:
        other = others.pop(_form(plot), None)
        pairs.append((_called(plot, names[0]), None) if other is None else _aligned(plot, other))
    return [*pairs, *((_called(plot, names[1]), None) for plot in others.values())]


def difference_table(first: ProbeResult, second: ProbeResult, names: Sequence[str]) -> Table:
    """Lay out the measures that the results of two models share, with their differences."""
    others = {measure.name: measure for measure in second.measures}
    rows = []
    for measure in first.measures:
        other = others.get(measure.name)
        if other is None or other.unit != measure.unit:
            continue
        value, interval = difference(measure, other)
        shown, apart = show(value, measure.unit, signed=True), ""
        if interval is not None:
            ends = ", ".join(show(end, measure.unit, signed=True) for end in (interval.low, interval.high))
            shown = f"{shown} [{ends}]"
            apart = "yes" if interval.is_apart else "not distinguishable"
        rows.append((measure.name, show_measure(measure), show_measure(other), shown, apart))
    return Table(
        title=f"{names[0]} and {names[1]}",
        header=("measure", names[0], names[1], "difference", "apart"),
        rows=tuple(rows),
        note="Differences of shares are in points of a hundred. Their intervals are made of the two intervals as if "
        "these rested on different items (Zou and Donner 2008); the true ones are narrower.",
    )


def _called(plot: Plot, name: str) -> Plot:
    return plot.model_copy(update={"title": f"{plot.title}, {name}"})


def _form(plot: Plot) -> tuple[object, ...]:
    """What two plots must share to be drawn in one frame."""
    return plot.title, plot.kind, plot.x_label, plot.y_label, plot.x_log


def _aligned(first: Plot, second: Plot) -> tuple[Plot, Plot]:
    """Give both plots the same categories: the first one's, then what only the second has."""
    if first.categories == second.categories:
        return first, second
    names = tuple(dict.fromkeys([*first.categories, *second.categories]))
    places = {name: number for number, name in enumerate(names)}

    def moved(curve: Curve, own: Sequence[str]) -> Curve:
        return curve.model_copy(update={"xs": tuple(float(places[own[round(x)]]) for x in curve.xs)})

    return (
        first.model_copy(update={"categories": names}),
        second.model_copy(
            update={"categories": names, "curves": tuple(moved(curve, second.categories) for curve in second.curves)}
        ),
    )


def write_probe_reports(folder: str | Path, reports: Sequence[ProbeReport], *, force: bool = False) -> None:
    """Write a report, or those of two models.

    The folder holds `report.html`, `report.md` with its pictures in `plots`, `report.json`, and `against.json` of a
    second model with the same probes.

    Raises:
        InputError: the folder exists, and not `force`.
        StorageError: it cannot be written.
    """
    title, blocks = _title(reports), list(report_blocks(reports))
    with atomic_folder(folder, force=force) as staged:
        for name, report in zip(_FILES, reports, strict=False):
            report.write(staged / f"{name}.json")
        write_pages(staged, title, blocks)


def report_blocks(reports: Sequence[ProbeReport]) -> Iterator[Block]:
    """Lay out one report, or two side by side."""
    yield Heading(_title(reports), 1)
    yield Paragraph(
        "Values in brackets are 95% intervals. A baseline is what a model without the property would have on the same "
        "items: a measure means something where its interval leaves the baseline out.",
        "note",
    )
    yield _summary(reports)
    names = [report.model.name for report in reports]
    for readings in pair_results(reports):
        yield from result_blocks(readings, names)
    yield Heading("Models, settings and versions")
    for report in reports:
        yield _model_table(report.model)
    first = reports[0]
    yield settings_table(first.created, first.amount, first.seed, first.versions)


def settings_table(created: str, amount: str, seed: int, versions: Mapping[str, str]) -> Table:
    """Lay out what a report was made with; arguments as in `ProbeReport`."""
    settings = {"created": created, "amount": amount, "seed": str(seed), **versions}
    return pairs_table(settings, title="Settings and versions")


def summary_rows(reports: Sequence[ProbeReport]) -> list[tuple[str, ...]]:
    """Give a row a probe and model: probe, model, main measure, value with its interval, baseline, answer."""
    rows: list[tuple[str, ...]] = []
    for readings in pair_results(reports):
        for report, result in zip(reports, readings, strict=True):
            main = result.main
            cells = ("", "", "") if main is None else (main.name, show_measure(main), show_baseline(main))
            answer = result.answer or f"Left out: {result.skipped}"
            rows.append((result.probe, report.model.name, *cells, answer))
    return rows


def _title(reports: Sequence[ProbeReport]) -> str:
    names = " and ".join(report.model.name for report in reports)
    return f"What {names} {'see' if len(reports) > 1 else 'sees'} of a text"


def _summary(reports: Sequence[ProbeReport]) -> Table:
    """The table at the top; the column of models is left out where there is one."""
    header = ("probe", "model", "main measure", "value", "baseline", "answer")
    kept = [number for number, name in enumerate(header) if name != "model" or len(reports) > 1]
    rows = tuple(tuple(row[number] for number in kept) for row in summary_rows(reports))
    return Table(title="", header=tuple(header[number] for number in kept), rows=rows)


def result_blocks(readings: Sequence[ProbeResult], names: Sequence[str]) -> Iterator[Block]:
    """Lay out what a probe says of a model, or of two, which are called by these names."""
    first, several = readings[0], len(readings) > 1
    yield Heading(f"{first.probe}: {first.question}")
    yield from _answers(readings, names)
    definition = next((result.definition for result in readings if result.definition), "")
    if definition:
        yield Paragraph(f"How it is measured. {definition}")
    if several and all(result.measures for result in readings):
        yield difference_table(readings[0], readings[1], names)
    for number, (plot, other) in enumerate(pair_plots(readings, names), start=1):
        yield Picture(plot.title, draw(plot, other, names=names), f"{first.probe}-{number}")
    shared = [table for table in first.tables if several and table in readings[1].tables]
    for name, result in zip(names, readings, strict=True):
        yield from _details(result, f", {name}" if several else "", shared)
    yield from shared
    yield from _list("What helps", [remedy for result in readings for remedy in result.remedies])
    yield from _list("Sources", [source for result in readings for source in result.sources])


def _answers(readings: Sequence[ProbeResult], names: Sequence[str]) -> Iterator[Block]:
    """Say what came out, and what was left out; once where it is the same for both models."""
    for name, result in zip(names, readings, strict=True):
        for line in result.answer.splitlines():
            yield Paragraph(f"{name}: {line}" if len(readings) > 1 else line, "answer")
    if len({result.skipped for result in readings}) == 1:
        readings, names = readings[:1], [""]
    for name, result in zip(names, readings, strict=True):
        if result.skipped:
            yield Paragraph(f"{f'{name}: ' if name else ''}left out: {result.skipped}", "note")


def _list(title: str, texts: Sequence[str]) -> Iterator[Block]:
    """A list under a heading, each text once; nothing where there is none."""
    if texts:
        yield Heading(title, 3)
        yield Items(tuple(dict.fromkeys(texts)))


def _details(result: ProbeResult, whose: str, shared: Sequence[Table]) -> Iterator[Block]:
    """Lay out the measures and tables of a result, but for those that both models have, and what it took."""
    if result.measures:
        header = ("measure", "value", "baseline", "items", "better")
        better = {True: "higher", False: "lower", None: ""}
        rows = tuple(
            (m.name, show_measure(m), show_baseline(m), f"{m.num_items:,}", better[m.higher_is_better])
            for m in result.measures
        )
        yield Table(title=f"Measures{whose}", header=header, rows=rows)
    for table in result.tables:
        if table not in shared:
            yield table.model_copy(update={"title": table.title + whose})
    if result.measures:
        facts = [f"{result.num_texts:,} texts"] if result.num_texts else []
        facts += [f"{result.seconds:.1f} s", f"seed {result.seed}"]
        facts += [_fact(key, value) for key, value in result.details.items()]
        yield Paragraph(f"What it took{whose}: {'; '.join(facts)}.", "note")


def _fact(key: str, value: str | int | float) -> str:
    return f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}"


def _model_table(card: ModelCard) -> Table:
    """All that is known of a model; prompts as they are written in front of a text."""
    known = {key: value for key, value in card.model_dump().items() if key != "prompts" and value not in (None, "")}
    known |= {f"prompt of {role}": repr(prompt) for role, prompt in card.prompts.items() if prompt}
    return pairs_table({key.replace("_", " "): str(value) for key, value in known.items()}, title=card.name)
