"""`slimvec explain`: which words make a query and a document near."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.models import load_embedder, model_or_default
from slimvec.cli.options import Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.data.records import check_text
from slimvec.files import write_text

if TYPE_CHECKING:
    from slimvec.engine.explanation import ExplainedText, Shares

KEYS = {
    "cosine": "cosine of the two vectors",
    "query": "its words: text, start and end in characters, is_prompt, is_special, and share over the whole document",
    "document": "the same, with shares over the whole query; each side's shares sum to the cosine",
    "pairs": "strongest pairs without the prompt: query and document word, and share",
    "num_truncated": "tokens of the two texts truncated for the model's limit",
    "prompt": "what was written in front of the query",
    "html": "path of the page; null without --html",
}


def explain(
    terminal: Terminal,
    *,
    query: str,
    document: str,
    model: str | None = None,
    task: str | None = None,
    top: int = 8,
    tokens: bool = False,
    html: Path | None = None,
    loading: Loading,
    force: bool = False,
) -> Result:
    """Show which words make a query and a document near.

    The cosine of the two vectors is a sum over pairs of words, one of the query and one of the document. Both texts
    are shown with each word on the colour of its share: blue adds to the cosine, orange takes away. The shares are
    exact; what a word's share holds includes the context that the model read into it.

    Positional:
        query QUERY: A question, in quotes.
        document DOCUMENT: A text, in quotes.

    Options:
        top (from 1): Strongest pairs shown.
        tokens: Go by the model's tokens, not by words.
        html F: Write a page to look at in a browser.
    """
    check_text(query, "the query")
    check_text(document, "the document")
    terminal.reserve(html, force=force)
    model = model_or_default(terminal, model)
    embedder = load_embedder(terminal, model, loading)
    from slimvec.engine.explanation import explain as take_apart
    from slimvec.engine.explanation_view import terminal_view

    explanation = take_apart(embedder, query, document, task=task)
    shown = explanation if tokens else explanation.by_word()
    terminal.print(terminal_view(shown, num_pairs=top))
    if html is not None:
        from slimvec.engine.explanation_page import html_page

        write_text(html, html_page(shown, model=model, num_pairs=top), force=force)
        terminal.print(f"{html}: the same, to look at in a browser")
    num_truncated = shown.query.num_truncated + shown.document.num_truncated
    for side, kind in ((shown.query, "query"), (shown.document, "document")):
        if side.num_truncated:
            terminal.remark(f"the {kind} was longer than {embedder.spec.max_tokens} tokens and was truncated")
    return {
        "cosine": shown.cosine,
        "query": _words(shown.query, shown.query_share()),
        "document": _words(shown.document, shown.document_share()),
        "pairs": shown.top_pairs(top, own_only=True),
        "num_truncated": num_truncated,
        "prompt": shown.query.prompt,
        "html": html,
    }


def _words(side: "ExplainedText", shares: "Shares") -> list[dict[str, Any]]:
    """Describe the words of a side."""
    return [asdict(word) | {"share": float(share)} for word, share in zip(side.tokens, shares, strict=True)]
