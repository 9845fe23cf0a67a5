"""The part of a study's report about its probes: what each variant sees, and a picture of that against its score."""

import re

from slimvec.comparison.probed import ProbedMeasure, ProbedValue
from slimvec.comparison.study_report import StudyReport
from slimvec.probes.results import show, show_baseline, show_measure
from slimvec.reports.blocks import Block, Heading, Paragraph, Picture
from slimvec.reports.drawing import draw
from slimvec.reports.parts import Curve, Plot, Table

TITLE = "Probes"
_NOTE = (
    "What the probes read, with 95% intervals over their items (docs/probes.md says how each is measured). Differences "
    "are from the variant named. Their intervals take the two for independent, and as both rest on the same items they "
    "are wider than they need be; from three trainings on they hold the luck of training too, and with fewer there is "
    "no verdict. They are not corrected for the number of measures. Differences of shares are in points of a hundred."
)


def probe_blocks(report: StudyReport) -> list[Block]:
    """Lay out what the probes read; nothing without probes."""
    if not report.probed:
        return []
    blocks: list[Block] = [Heading(TITLE), Paragraph(_NOTE, "note")]
    for probed in report.probed:
        blocks += [Heading(probed.name, 3), _picture(report, probed), _table(report, probed)]
    return blocks


def _picture(report: StudyReport, probed: ProbedMeasure) -> Picture:
    """Draw a measure against the score: a remedy against its cost."""
    scores = {row.variant: row.mean for row in report.rows}
    curves = tuple(
        _point(variant, scores[variant], value) for variant, value in probed.values.items() if variant in scores
    )
    title, x_label = f"{probed.name} against {report.metric}", f"{report.metric}, mean of the sets"
    y_label = probed.name.partition(":")[2]
    plot = Plot(title=title, x_label=x_label, y_label=y_label, curves=curves, kind="points")
    return Picture(title, draw(plot), re.sub(r"\W+", "-", probed.name))


def _point(variant: str, score: float, value: ProbedValue) -> Curve:
    measure = value.measure
    ends = (measure.low, measure.high)
    lows, highs = ((ends[0],), (ends[1],)) if ends[0] is not None and ends[1] is not None else ((), ())
    return Curve(label=variant, xs=(score,), ys=(measure.value,), lows=lows, highs=highs)


def _table(report: StudyReport, probed: ProbedMeasure) -> Table:
    scores = {row.variant: row.mean for row in report.rows}
    seeds = ("by seed",) if report.has_seeds else ()
    header = ("variant", report.metric, probed.name, "baseline", "difference", "finding", "from", *seeds)
    rows = [
        (
            variant,
            f"{scores[variant]:.3f}",
            show_measure(value.measure),
            show_baseline(value.measure),
            *_difference(value),
            *((_by_seed(report, variant, value),) if report.has_seeds else ()),
        )
        for variant, value in probed.values.items()
    ]
    empty = ("",) * (len(header) - 3)
    rows += [(variant, f"{scores[variant]:.3f}", reason, *empty) for variant, reason in probed.skipped.items()]
    return Table(title="", header=header, rows=tuple(rows))


def _by_seed(report: StudyReport, variant: str, value: ProbedValue) -> str:
    """Write what each training gave; nothing where there was none."""
    if not report.study.cells[variant].trained:
        return ""
    return ", ".join(show(one, value.measure.unit) for one in value.by_seed)


def _difference(value: ProbedValue) -> tuple[str, str, str]:
    """Write a difference with its interval, what it is worth and what it is from."""
    found, unit = value.difference, value.measure.unit
    if found is None:
        return ("", "", value.against or "")
    low, high = (show(end, unit, signed=True) for end in (found.low, found.high))
    return (f"{show(found.value, unit, signed=True)} [{low}, {high}]", value.finding or "", value.against or "")
