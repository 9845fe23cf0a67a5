"""An explanation as coloured text for a terminal: blue adds to the cosine, orange takes away."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slimvec.engine.explanation import ExplainedText, Explanation, Shares, TokenSpan

# From greyish to vivid at middling lightness, with their own text colour: what is strong stands out on dark terminals
# and on light ones. Level 0 has no colour.
_ADDS = ("", "#000000 on #a3b3c4", "#000000 on #7fb0e6", "#ffffff on #2f7be0", "bold #ffffff on #0047d6")
_TAKES = ("", "#000000 on #c4b0a3", "#000000 on #e6a877", "#000000 on #f07f22", "bold #ffffff on #c93c00")


def terminal_view(explanation: Explanation, *, num_pairs: int = 8) -> RenderableType:
    """Lay out an explanation: the cosine, both texts coloured by share with a legend each, the strongest pairs.

    Args:
        explanation: By words, or by tokens.
        num_pairs: How many pairs to list; none of them with prompts or special tokens.
    """
    num_query, num_document = explanation.shares.shape
    parts: list[RenderableType] = [
        Text.assemble(
            ("cosine ", "bold"),
            (f"{explanation.cosine:+.4f}", "bold"),
            (f"  the exact sum over {num_query:,} x {num_document:,} pairs", "dim"),
        )
    ]
    for title, side, shares in (
        ("query", explanation.query, explanation.query_share()),
        ("document", explanation.document, explanation.document_share()),
    ):
        parts += [Text(), Text(title, style="bold"), _coloured(side, shares), *_notes(side, shares), _legend(shares)]
    return Group(*parts, Text(), _pairs_table(explanation, num_pairs), Text())


def visible(text: str) -> str:
    """Show white space that stands alone."""
    return text if text.strip() else text.replace("\n", "\u23ce").replace("\t", "\u21e5").replace(" ", "\u2423")


def signed(share: float) -> str:
    """Write a share with its sign and four digits."""
    return f"{share:+.4f}"


def walk(side: ExplainedText, *, is_prompt: bool) -> Iterator[tuple[str, int | None]]:
    """Give the prompt or the text piece by piece: characters, and the number of the token they belong to, if any.

    Bytes of one character follow each other as tokens of their own; all but the first have no characters left.
    """
    string, place = (side.prompt if is_prompt else side.text), 0
    for number, token in enumerate(side.tokens):
        if token.is_prompt != is_prompt:
            continue
        if token.is_special:
            yield token.text, number
            continue
        if token.start > place:
            yield string[place : token.start], None
        yield string[max(token.start, place) : token.end], number
        place = max(place, token.end)
    if side.num_truncated == 0 or is_prompt:
        yield string[place:], None


def own_and_prompt(tokens: Sequence[TokenSpan], shares: Shares) -> tuple[float, float]:
    """Shares of the text's own tokens and of the prompt's, special tokens with those they stand beside."""
    prompt = np.asarray([token.is_prompt for token in tokens])
    return float(shares[~prompt].sum()), float(shares[prompt].sum())


def _coloured(side: ExplainedText, shares: Shares) -> Text:
    """The prompt, in italics, and the text, each word on the colour of its share."""
    largest = _largest(shares)
    text = Text()
    for is_prompt in (True, False):
        for characters, number in walk(side, is_prompt=is_prompt):
            style = "" if number is None else _style(shares[number], largest)
            text.append(characters, style=f"italic {style}" if is_prompt else style)
    if side.num_truncated:
        text.append(f" [{side.num_truncated:,} more tokens were truncated]", style="dim")
    return text


def _notes(side: ExplainedText, shares: Shares) -> list[Text]:
    """Say what the prompt's part is, where there is a prompt."""
    if not side.prompt:
        return []
    own, prompt = own_and_prompt(side.tokens, shares)
    return [Text(f"instruction, in italics: {signed(prompt)}; the text's own words: {signed(own)}", style="dim")]


def _style(share: float, largest: float) -> str:
    """Choose the colour: five equal steps up to the largest share, the lowest of them without a colour."""
    level = min(int(5 * abs(share) / largest), 4) if largest else 0
    return (_ADDS if share > 0 else _TAKES)[level]


def _largest(shares: Shares) -> float:
    return float(np.abs(shares).max())


def _legend(shares: Shares) -> Text:
    """Say which share each colour begins at; the side that takes away only where something does."""
    largest = _largest(shares)
    text = Text.assemble(("share: ", "dim"))
    if _style(float(shares.min()), largest) in _TAKES[1:]:
        for level in range(4, 0, -1):
            text.append(f" {-level / 5 * largest:+.4f} ", style=_TAKES[level])
    text.append(" about 0 ", style="dim")
    for level in range(1, 5):
        text.append(f" {level / 5 * largest:+.4f} ", style=_ADDS[level])
    text.append(f" at most {largest:.4f}", style="dim")
    return text


def _pairs_table(explanation: Explanation, num_pairs: int) -> RenderableType:
    """List the strongest pairs."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    table.add_row(Text("share", style="bold"), Text("query", style="bold"), Text("document", style="bold"))
    for pair in explanation.top_pairs(num_pairs, own_only=True):
        colour = "blue" if pair.share > 0 else "dark_orange3"
        words = (Text(visible(pair.query.text)), Text(visible(pair.document.text)))
        table.add_row(Text(signed(pair.share), style=colour), *words)
    return table
