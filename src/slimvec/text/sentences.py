"""Sentences of a text, by its marks alone, for what rearranges, removes or weighs them. No linguistics.

A sentence ends behind a full stop and white space, behind a wide stop (Chinese and Japanese, Devanagari, Tibetan), or
where a line is empty. A full stop ends nothing before a small letter ("e.g. this", as rule SB8 of Unicode's UAX 29 has
it) or behind a single capital ("J. Smith"). A single line break is white space: wrapped text stays whole.
"""

import regex

_CLOSERS = r"[\"'\u201d\u2019)\]\u00bb]*"
_BORDER = regex.compile(
    r"\n[^\S\n]*\n\s*"  # an empty line
    rf"|(?<=(?<!\b\p{{Lu}})\.{_CLOSERS}|[!?\u2026]{_CLOSERS})\s+(?!\p{{Ll}})"
    r"|(?<=[\u3002\uff01\uff1f\u0964\u0965\u0f0d\u0f0e])(?![\u0f0d\u0f0e\u201d\u2019\u300d\u300f])\s*"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Give the places (start, end) of the sentences of a text, in characters, without the white space between them."""
    spans, start = [], 0
    for border in _BORDER.finditer(text):
        spans.append((start, border.start()))
        start = border.end()
    spans.append((start, len(text)))
    return [_without_margins(text, *span) for span in spans if text[slice(*span)].strip()]


def split_sentences(text: str) -> list[str]:
    """Give the sentences of a text in their order; white space between them is lost."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _without_margins(text: str, start: int, end: int) -> tuple[int, int]:
    """Narrow a span to what is not white space."""
    piece = text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip())
