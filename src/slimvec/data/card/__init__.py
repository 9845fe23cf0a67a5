"""The data card: what a model was trained on, counted, hashed and written beside it."""

from slimvec.data.card.card import DataCard, make_data_card, write_data_card
from slimvec.data.card.licenses import License, find_license
from slimvec.data.card.page import render_markdown
from slimvec.data.card.summary import Lengths, SourceSummary, summarise_source

__all__ = [
    "DataCard",
    "Lengths",
    "License",
    "SourceSummary",
    "find_license",
    "make_data_card",
    "render_markdown",
    "summarise_source",
    "write_data_card",
]
