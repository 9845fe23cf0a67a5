"""The data card as a page of Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from slimvec.data.card.card import DataCard
from slimvec.data.card.summary import Lengths, SourceSummary
from slimvec.data.contamination import ContaminationReport
from slimvec.reports.blocks import Block, Heading, Paragraph, to_markdown
from slimvec.reports.parts import Table

_NUM_LANGUAGES = 40


def render_markdown(card: DataCard) -> str:
    """Write a data card for people."""
    return to_markdown(
        [
            Heading("Data card", 1),
            Paragraph(
                f"{card.num_records:,} records of {len(card.sources)} sources; "
                f"{_share(card.num_repeated, card.num_records)} have the texts of an earlier one. SHA-256 over the "
                f"records in any order: `{card.records_sha256}`. Written by slimvec {card.slimvec_version}."
            ),
            Heading("Sources"),
            _sources(card.sources),
            *_parts(card.sources),
            Heading("Licences"),
            _licenses(card.sources),
            Heading("Lengths"),
            _lengths(card.sources),
            Heading("Languages"),
            _languages(card),
            Heading("Left out before training"),
            _left_out(card.sources),
            Heading("Overlap with evaluation data"),
            *_contamination(card.contamination),
        ]
    )


def _sources(sources: Sequence[SourceSummary]) -> Table:
    headings = ("source", "file", "read", "used", "weight", "positives", "negatives", "repeated", "SHA-256 of the file")
    return _table(
        headings,
        (
            (
                source.name,
                f"`{source.path}`",
                f"{source.num_read:,}",
                f"{source.num_used:,}",
                f"{source.weight:g}",
                f"{source.num_positives:,}",
                f"{source.num_negatives:,}",
                _share(source.num_repeated, source.num_used),
                f"`{source.sha256}`" if source.sha256 else "not a file",
            )
            for source in sources
        ),
    )


def _parts(sources: Sequence[SourceSummary]) -> list[Block]:
    rows = [
        (source.name, part or "not stated", f"{count:,}", _share(count, source.num_used))
        for source in sources
        if len(source.parts) > 1
        for part, count in source.parts.items()
    ]
    return (
        [Heading("Sources of files that have several"), _table(("file", "source", "used", "share"), rows)]
        if rows
        else []
    )


def _licenses(sources: Sequence[SourceSummary]) -> Table:
    return _table(
        ("source", "licence", "stated by"),
        ((source.name, source.license.text or "unknown", source.license.stated_by or "nobody") for source in sources),
    )


def _lengths(sources: Sequence[SourceSummary]) -> Table:
    measures: list[tuple[str, str, Lengths | None]] = []
    for source in sources:
        measures += [
            (source.name, "queries, characters", source.query_chars),
            (source.name, "documents, characters", source.document_chars),
            (source.name, "queries, tokens", source.query_tokens),
            (source.name, "documents, tokens", source.document_tokens),
        ]
    rows = (
        (name, what, *(f"{number:,}" for number in (m.num_texts, m.shortest, m.median, m.p90, m.p99, m.longest)))
        for name, what, m in measures
        if m is not None
    )
    return _table(("source", "of", "texts measured", "shortest", "median", "90%", "99%", "longest"), rows)


def _languages(card: DataCard) -> Table:
    found = list(card.languages.items())
    rows = [(name or "not stated", f"{count:,}", _share(count, card.num_records)) for name, count in found]
    more = f"And {len(rows) - _NUM_LANGUAGES} more, in `data_card.json`." if len(rows) > _NUM_LANGUAGES else ""
    return _table(("language, as the sources name it", "records", "share"), rows[:_NUM_LANGUAGES], note=more)


def _left_out(sources: Sequence[SourceSummary]) -> Table:
    return _table(
        ("source", "rows that could not be read", "dropped by cleaning", "merged"),
        (
            (
                source.name,
                _counts(source.skipped),
                "not cleaned" if source.dropped is None else _counts(source.dropped),
                f"{source.num_merged:,}",
            )
            for source in sources
        ),
    )


def _contamination(report: ContaminationReport | None) -> list[Block]:
    if report is None:
        return [Paragraph("Not checked.")]
    text = Paragraph(
        f"{report.num_contaminated:,} of {report.num_records:,} records repeat a text of an evaluation set, whole or "
        f"in a run of {report.settings.words} words "
        f"({report.settings.characters} characters in scripts without spaces)."
    )
    headings = (
        "source",
        "evaluation set",
        "part",
        "equal queries",
        "equal documents",
        "shared runs",
        "half or more",
        "as negatives",
    )
    rows = [
        (
            overlap.source,
            overlap.dataset,
            overlap.part,
            f"{overlap.num_exact_queries:,}",
            f"{overlap.num_exact_documents:,}",
            f"{overlap.num_runs:,}",
            f"{overlap.num_long_runs:,}",
            f"{overlap.num_negatives:,}",
        )
        for overlap in report.overlaps
    ]
    return [text, _table(headings, rows)] if rows else [text]


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, note: str = "") -> Table:
    return Table(title="", header=headings, rows=tuple(rows), note=note)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}"
