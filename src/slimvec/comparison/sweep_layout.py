"""The part of a study's report about its sweep: a table, a plot, and the predictions."""

from html import escape

from slimvec.comparison.report import StudyReport
from slimvec.comparison.sweeps import SweptModel
from slimvec.comparison.tables import html_table, markdown_table
from slimvec.evaluation.results import Score
from slimvec.probes.drawing import draw
from slimvec.probes.readings import Curve, Plot

TITLE = "Poolings of the same states"
_NOTE = (
    "Each model's states were computed once and pooled in each way; nothing was trained for it. Best beta is that of "
    "the family w(t+1) = w(t) (1 + beta / t), with the interval of where the best lies when queries and runs are "
    "drawn again. Its gain over beta 0 is a little too large, since it is chosen on the same queries."
)


def sweep_markdown(report: StudyReport) -> list[str]:
    """Give the parts of the Markdown; none without a sweep."""
    if not report.swept:
        return []
    checks = [f"- **{check.name}**: {check.outcome}. {check.finding}." for check in report.checks]
    return [
        f"{TITLE}:",
        markdown_table(_cells(report)),
        _NOTE,
        *(["Predictions:", "\n".join(checks)] if checks else []),
    ]


def sweep_page(report: StudyReport) -> str:
    """Give the part of the HTML page; nothing without a sweep."""
    if not report.swept:
        return ""
    checks = "".join(
        f"<li><b>{escape(check.name)}</b>: {escape(check.outcome)}. {escape(check.finding)}.</li>"
        for check in report.checks
    )
    return f"<h2>{TITLE}</h2>{sweep_plot(report)}{html_table(_cells(report))}<p>{escape(_NOTE)}</p>" + (
        f"<h2>Predictions</h2><ul>{checks}</ul>" if checks else ""
    )


def sweep_plot(report: StudyReport) -> str:
    """Draw each model's score over beta, with its interval; nothing where fewer than two betas are finite."""
    curves = [curve for model in report.swept if (curve := _curve(model)) is not None]
    if not curves:
        return ""
    title = f"{report.metric} over beta"
    return draw(
        Plot(title=title, x_label="beta: 0 is the mean, 1 weighted", y_label=report.metric, curves=tuple(curves))
    )


def _curve(model: SweptModel) -> Curve | None:
    """Give the curve of a model over its finite betas."""
    points = sorted(
        (beta, score.value, score.low, score.high)
        for beta, score in zip(model.betas, model.scores, strict=True)
        if beta is not None
    )
    if len(points) < 2:
        return None
    xs, ys, lows, highs = zip(*points, strict=True)
    return Curve(label=model.variant, xs=xs, ys=ys, lows=lows, highs=highs)


def _cells(report: StudyReport) -> list[list[str]]:
    header = ["model", *report.swept[0].names, "best", "best beta", "over beta 0", "mixing"]
    return [header, *map(_row_cells, report.swept)]


def _row_cells(model: SweptModel) -> list[str]:
    return [
        model.variant,
        *(f"{score.value:.3f}" for score in model.scores),
        model.best,
        _interval(model.best_beta, "g"),
        _interval(model.best_over_mean, "+.3f"),
        "" if model.mixing is None else f"{model.mixing:.2f}",
    ]


def _interval(score: Score | None, form: str) -> str:
    return "" if score is None else f"{score.value:{form}} [{score.low:{form}}, {score.high:{form}}]"
