"""The picture of a study: each variant's difference with its interval."""

from slimvec.comparison.study_report import StudyReport
from slimvec.evaluation.results import line_of
from slimvec.reports.blocks import Picture
from slimvec.reports.intervals import Row, draw_intervals

_COLOURS = {"better": "#0a6b2d", "worse": "#aa1111", "not distinguishable": "#777777", "no verdict": "#777777"}


def forest_plot(report: StudyReport) -> list[Picture]:
    """Draw each variant's difference; nothing where nothing is compared.

    The scale is that of the differences that are small or uncertain; larger ones end in an arrow at the edge.
    """
    effects = [(row, row.effect) for row in report.rows if row.effect is not None]
    if not effects:
        return []
    lines = [line_of(effect.difference) for _, effect in effects]
    bounds = sorted(max(map(abs, line)) for line in lines)
    reach = 1.2 * max(0.001, bounds[(3 * len(bounds) - 1) // 4])
    rows = [
        Row(
            f"{row.variant} against {effect.against}",
            [line],
            f"{effect.difference.value:+.3f}",
            _COLOURS[row.verdict],
        )
        for (row, effect), line in zip(effects, lines, strict=True)
    ]
    title = f"Differences in {report.metric}, with 95% intervals"
    return [Picture(title, draw_intervals(title, rows, -reach, reach), "differences")]
