"""Probe reports as the web page shows them: a list of blocks, none of which is markup."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class HeadingBlock(BaseModel):
    """A heading; level 1 is the title."""

    kind: Literal["heading"] = "heading"
    text: str
    level: int


class ParagraphBlock(BaseModel):
    """A paragraph; `style` is `note`, `answer`, `warning` or empty."""

    kind: Literal["paragraph"] = "paragraph"
    text: str
    style: str


class ListBlock(BaseModel):
    """A list."""

    kind: Literal["list"] = "list"
    items: list[str]


class PictureBlock(BaseModel):
    """A picture, as SVG."""

    kind: Literal["picture"] = "picture"
    title: str
    svg: str


class TableBlock(BaseModel):
    """A table; rows have as many cells as the header."""

    kind: Literal["table"] = "table"
    title: str
    header: list[str]
    rows: list[list[str]]
    note: str


ReportBlock = Annotated[
    HeadingBlock | ParagraphBlock | ListBlock | PictureBlock | TableBlock, Field(discriminator="kind")
]


class ShownReport(BaseModel):
    """A probe report on a model that is served.

    Attributes:
        model: Name of the model here.
        probed_as: What the model was called when it was probed.
        created: Day and time of the report, UTC, ISO 8601.
        amount: How much was drawn: `full`, `quick` or `tiny`.
        blocks: What the report says, in its order.
    """

    model: str
    probed_as: str
    created: str
    amount: str
    blocks: list[ReportBlock]


class ReportList(BaseModel):
    """All reports that are served."""

    reports: list[ShownReport]
