r"""What is shown of texts that anyone may have written: the one place where they become safe to show.

A terminal obeys escape sequences (colours, links, the clipboard), and both terminals and browsers reorder text at
bidirectional controls; Markdown and HTML have markup. None of it may come from a document, a title, a name or an
error message. What would act is shown as its code, such as `\x1b`; nothing is left out.
"""

import html
import re

# C0 without tab and line feed, delete, C1, half surrogates, directional marks, embeddings, overrides and isolates,
# line and paragraph separators, invisible tags.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_MARKUP = re.compile(
    r"[\\`*<~$]"
    r"|\](?=[(\[:])"  # links and the places they are defined
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis begins and ends at the edge of a word
    r"|(?<=[a-z]):(?=//)|(?<=www)\.|&(?=#?\w+;)",  # addresses become links, and entities signs, by themselves
    re.IGNORECASE,
)
_CODE = re.compile(r"((?<!`)`[^`\\]+`(?!`))")
_BEGINNING = re.compile(r"[#>+=-]|\d{1,9}[.)](?=\s|$)")


def plain(text: str) -> str:
    """Show characters that a terminal or a browser would obey by their codes; tabs and line feeds stay."""
    return _ACTING.sub(_code, text)


def one_line(text: str) -> str:
    """Show a text on one line, with nothing in it that a terminal would obey."""
    return plain(" ".join(text.split()))


def shown_p(p: float) -> str:
    """Show a p-value to four digits; none is zero."""
    return f"{p:.4f}" if p >= 0.00005 else "<.0001"


def in_markdown(text: str) -> str:
    """Write a text for the middle of a line of Markdown, where it reads as it is; only `code` stays code."""
    parts = _CODE.split(one_line(text))
    return "".join(
        part if number % 2 else _MARKUP.sub(lambda found: f"\\{found[0]}", part) for number, part in enumerate(parts)
    )


def markdown_label(text: str) -> str:
    """Write a text for the label of a link or picture in Markdown."""
    return re.sub(r"(?<!\\)([\[\]])", r"\\\1", in_markdown(text))


def markdown_cell(text: str) -> str:
    """Write a text for a cell of a table in Markdown."""
    return in_markdown(text).replace("|", "\\|")


def markdown_line(text: str) -> str:
    """Write a text as a paragraph of Markdown, where it reads as it is and is not a heading, list or quote."""
    line = in_markdown(text)
    found = _BEGINNING.match(line)
    if found is None:
        return line
    place = found.end() - 1
    return f"{line[:place]}\\{line[place:]}"


def in_html(text: str) -> str:
    """Write a text for HTML and SVG, within elements and quoted attributes."""
    return html.escape(plain(text))


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
