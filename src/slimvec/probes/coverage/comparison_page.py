"""Tokenizers side by side as a folder: one HTML page, Markdown with its pictures, and JSON."""

from pathlib import Path

from slimvec.files import atomic_folder
from slimvec.probes.coverage.comparison import TokenizerReport
from slimvec.reports.blocks import Block, Heading, Items, Paragraph, Picture, write_pages
from slimvec.reports.drawing import draw
from slimvec.reports.parts import Table, pairs_table

TITLE = "What tokenizers can read"


def write_report(folder: str | Path, report: TokenizerReport, *, force: bool = False) -> None:
    """Write `report.html`, `report.md` with its pictures in `plots`, and `report.json`.

    Raises:
        InputError: the folder exists, and not `force`.
        StorageError: it cannot be written.
    """
    blocks = _blocks(report)
    with atomic_folder(folder, force=force) as staged:
        report.write(staged / "report.json")
        write_pages(staged, TITLE, blocks)


def _blocks(report: TokenizerReport) -> list[Block]:
    """Lay out the report."""
    result = report.reading
    cards = [(card.name, f"{card.vocabulary:,}", card.sha256[:16]) for card in report.tokenizers]
    pictures = [
        Picture(plot.title, draw(plot), f"tokenizers-{number}") for number, plot in enumerate(result.plots, start=1)
    ]
    settings = {"created": report.created, "amount": report.amount, "seed": str(report.seed), **report.versions}
    sources: list[Block] = [Heading("Sources", 3), Items(result.sources)] if result.sources else []
    return [
        Heading(TITLE, 1),
        Items(tuple(result.answer.split("\n"))),
        Paragraph(f"How it is measured. {result.definition}"),
        Table(title="Tokenizers", header=("name", "tokens", "SHA-256"), rows=tuple(cards)),
        *pictures,
        *result.tables,
        *sources,
        pairs_table(settings, title="Settings and versions"),
    ]
