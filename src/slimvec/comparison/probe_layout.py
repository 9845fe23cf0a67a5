"""The part of a study's report about its probes: what each variant sees, and a picture of that against its score."""

from html import escape

from slimvec.comparison.probed import ProbedMeasure, ProbedValue
from slimvec.comparison.report import StudyReport
from slimvec.comparison.tables import html_table, markdown_table
from slimvec.probes.drawing import draw
from slimvec.probes.figures import show, show_baseline, show_measure
from slimvec.probes.readings import Curve, Plot

TITLE = "Probes"
_NOTE = (
    "What the probes read, with 95% intervals over their items (docs/probes.md says how each is measured). Differences "
    "are from the variant named; their intervals take the two for independent, and as both rest on the same items they "
    "are wider than they need be. Differences of shares are in points of a hundred."
)


def probe_markdown(report: StudyReport) -> list[str]:
    """Give the parts of the Markdown; none without probes."""
    if not report.probed:
        return []
    return [f"{TITLE}:", *(markdown_table(_cells(report, probed)) for probed in report.probed), _NOTE]


def probe_page(report: StudyReport) -> str:
    """Give the part of the HTML page; nothing without probes."""
    if not report.probed:
        return ""
    parts = [f"<h2>{TITLE}</h2>"]
    for probed in report.probed:
        parts.append(f"<h3>{escape(probed.name)}</h3>{probe_plot(report, probed)}")
        parts.append(html_table(_cells(report, probed)))
    return "".join([*parts, f"<p>{escape(_NOTE)}</p>"])


def probe_plot(report: StudyReport, probed: ProbedMeasure) -> str:
    """Draw a measure against the score: a remedy against its cost."""
    scores = {row.variant: row.mean for row in report.rows}
    curves = tuple(
        _point(variant, scores[variant], value) for variant, value in probed.values.items() if variant in scores
    )
    return draw(
        Plot(
            title=f"{probed.name} against {report.metric}",
            x_label=f"{report.metric}, mean of the sets",
            y_label=probed.name.partition(":")[2],
            curves=curves,
            kind="points",
        )
    )


def _point(variant: str, score: float, value: ProbedValue) -> Curve:
    measure = value.measure
    ends = (measure.low, measure.high)
    lows, highs = ((ends[0],), (ends[1],)) if ends[0] is not None and ends[1] is not None else ((), ())
    return Curve(label=variant, xs=(score,), ys=(measure.value,), lows=lows, highs=highs)


def _cells(report: StudyReport, probed: ProbedMeasure) -> list[list[str]]:
    scores = {row.variant: row.mean for row in report.rows}
    header = ["variant", report.metric, probed.name, "baseline", "difference", "from"]
    rows = [
        [
            variant,
            f"{scores[variant]:.3f}",
            show_measure(value.measure),
            show_baseline(value.measure),
            *_difference(value),
        ]
        for variant, value in probed.values.items()
    ]
    rows += [[variant, f"{scores[variant]:.3f}", reason, "", "", ""] for variant, reason in probed.skipped.items()]
    return [header, *rows]


def _difference(value: ProbedValue) -> list[str]:
    """Write a difference with its interval and what it is from."""
    found, unit = value.difference, value.measure.unit
    if found is None:
        return ["", value.against or ""]
    low, high = (show(end, unit, signed=True) for end in (found.low, found.high))
    return [f"{show(found.value, unit, signed=True)} [{low}, {high}]", value.against or ""]
