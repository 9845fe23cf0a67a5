"""`/v1/reports`: probe reports on the models that are served, for the web page."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter

from slimvec.errors import InputError, ModelError
from slimvec.probes.page import report_blocks
from slimvec.probes.results import ProbeReport
from slimvec.reports.blocks import Block, Heading, Items, Paragraph, Picture
from slimvec.serving.report_schemas import (
    HeadingBlock,
    ListBlock,
    ParagraphBlock,
    PictureBlock,
    ReportBlock,
    ReportList,
    ShownReport,
    TableBlock,
)
from slimvec.serving.served import Models


def read_report(source: Path, models: Models) -> ShownReport:
    """Read a probe report on a model that is served.

    Args:
        source: A folder that `slimvec probe --output` wrote, or one of its JSON files.
        models: Those that are served.

    Raises:
        InputError: it is no such report, or does not say which model it is about.
        ModelError: its model is not among those that are served.
    """
    report = ProbeReport.read(source / "report.json" if source.is_dir() else source)
    said = report.model
    if said.model_sha256 is None:
        raise InputError(
            f"{source} does not say by its files which model it is about",
            expected="a report on a slimvec model, by this version or a later one",
            do="run `slimvec probe` again",
        )
    model = next((model for model in models if model.identity.sha256 == said.model_sha256), None)
    if model is None:
        raise ModelError(
            f"{source} is about {said.name} as it was then, which is not served",
            expected=f"a report on {', '.join(model.name for model in models)}, with the same weights and settings",
            do="serve that model, or run `slimvec probe` on this one",
        )
    return ShownReport(
        model=model.name,
        probed_as=said.name,
        created=report.created,
        amount=report.amount,
        blocks=[_shown(block) for block in report_blocks([report])],
    )


def report_routes(reports: Sequence[ShownReport]) -> APIRouter:
    """Give the route.

    Args:
        reports: What it answers with.
    """
    router = APIRouter(prefix="/v1", tags=["Analysis"])

    @router.get("/reports", summary="Show probe reports on the models")
    async def list_reports() -> ReportList:
        return ReportList(reports=list(reports))

    return router


def _shown(block: Block) -> ReportBlock:
    """Give a block of a report as data."""
    match block:
        case Heading(text, level):
            return HeadingBlock(text=text, level=level)
        case Paragraph(text, style):
            return ParagraphBlock(text=text, style=style)
        case Items(texts):
            return ListBlock(items=list(texts))
        case Picture(title, svg, _):
            return PictureBlock(title=title, svg=svg)
        case table:
            return TableBlock(
                title=table.title, header=list(table.header), rows=[list(row) for row in table.rows], note=table.note
            )
