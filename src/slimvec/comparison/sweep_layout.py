"""The part of a study's report about its sweep: a table, a plot, and the predictions."""

from slimvec.comparison.study_report import StudyReport
from slimvec.comparison.sweeps import SweptModel
from slimvec.evaluation.results import Score, line_of
from slimvec.reports.blocks import Block, Heading, Picture
from slimvec.reports.drawing import draw
from slimvec.reports.parts import Curve, Plot, Table

TITLE = "Poolings of the same states"
_NOTE = (
    "Each model's states were computed once and pooled in each way; nothing was trained for it. Best beta is that of "
    "the family w(t+1) = w(t) (1 + beta / t), with the interval of where the best lies when queries and runs are "
    "drawn again. Its gain over beta 0 is a little too large, since it is chosen on the same queries."
)


def sweep_blocks(report: StudyReport) -> list[Block]:
    """Lay out the sweep; nothing without one."""
    if not report.swept:
        return []
    header = ("model", *report.swept[0].names, "best", "best beta", "over beta 0", "mixing")
    blocks: list[Block] = [
        Heading(TITLE),
        *_curves(report),
        Table(title="", header=header, rows=tuple(map(_row_cells, report.swept)), note=_NOTE),
    ]
    if report.checks:
        rows = tuple((check.name, check.outcome, check.finding) for check in report.checks)
        blocks.append(Table(title="Predictions", header=("prediction", "outcome", "finding"), rows=rows))
    return blocks


def _curves(report: StudyReport) -> list[Picture]:
    """Draw each model's score over beta, with its interval; nothing where fewer than two betas are finite."""
    curves = tuple(curve for model in report.swept if (curve := _curve(model)) is not None)
    if not curves:
        return []
    title, x_label = f"{report.metric} over beta", "beta: 0 is the mean, 1 weighted"
    plot = Plot(title=title, x_label=x_label, y_label=report.metric, curves=curves)
    return [Picture(title, draw(plot), "poolings")]


def _curve(model: SweptModel) -> Curve | None:
    """Give the curve of a model over its finite betas; where there is no interval, its ends are the value."""
    points = sorted(
        (beta, *line_of(score)) for beta, score in zip(model.betas, model.scores, strict=True) if beta is not None
    )
    if len(points) < 2:
        return None
    xs, lows, ys, highs = zip(*points, strict=True)
    return Curve(label=model.variant, xs=xs, ys=ys, lows=lows, highs=highs)


def _row_cells(model: SweptModel) -> tuple[str, ...]:
    return (
        model.variant,
        *(f"{score.value:.3f}" for score in model.scores),
        model.best,
        _interval(model.best_beta, "g"),
        _interval(model.best_over_mean, "+.3f"),
        "" if model.mixing is None else f"{model.mixing:.2f}",
    )


def _interval(score: Score | None, form: str) -> str:
    return "" if score is None else f"{score:{form}}"
