"""How hits of an index look in a terminal: where each stands, the sentence that matches, and why it is here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.reports.amounts import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from slimvec.search.results import Hit, SearchResult

_SNIPPET = 320
_QUERY = 1000
_INDENT = (0, 0, 0, 6)


def shown_hits(result: "SearchResult", *, explain: bool) -> "RenderableType":
    """Lay out the hits of a query."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = [Text(_flat(result.query[:_QUERY]), style="bold")]
    for hit in result.hits:
        parts += [_headline(hit), Padding(_snippet(hit), _INDENT)]
        if explain:
            parts.append(Padding(Text(_why(hit), style="dim"), _INDENT))
    if not result.hits:
        parts.append(Text(f"nothing found in {counted(result.num_searched, 'chunk')}"))
    if explain:
        parts.append(Text(_summary(result), style="dim"))
    return Group(*parts, Text())


def as_json(result: "SearchResult", *, explain: bool) -> dict[str, Any]:
    """Give a result as JSON; explanations when they were asked for."""
    found: dict[str, Any] = result.model_dump(mode="json")
    if not explain:
        for hit in found["hits"]:
            del hit["explanation"]
    return found


def _headline(hit: "Hit") -> "Text":
    """Rank, score, file and place, and what it stands under, on one line."""
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{hit.rank:4}", style="dim")
    line.append(f"  {hit.score:.3f}  ", style="cyan")
    line.append(_short_path(hit.path), style="bold")
    if hit.place:
        line.append(f", {hit.place}")
    under = hit.heading or hit.title
    if under:
        line.append(f"  {' '.join(under.split())}", style="dim")
    return line


def _snippet(hit: "Hit") -> "Text":
    """The sentence that matches, with the query's words in bold."""
    from rich.text import Text

    chosen = hit.highlight
    end = min(chosen.end, chosen.start + _SNIPPET)
    parts = Text()
    place = chosen.start
    for start, stop in chosen.words:
        if start >= chosen.start and stop <= end:
            parts.append(_flat(hit.text[place:start]))
            parts.append(_flat(hit.text[start:stop]), style="bold yellow")
            place = stop
    parts.append(_flat(hit.text[place:end]))
    if end < chosen.end:
        parts.append(" \u2026")
    return parts


def _flat(text: str) -> str:
    """A piece of text without line breaks; the spaces at its ends stay."""
    inner = " ".join(text.split())
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"


def _why(hit: "Hit") -> str:
    """Say what put a hit where it is."""
    why = hit.explanation
    parts = []
    if why.cosine is not None:
        parts.append(f"vector rank {why.vector_rank}, cosine {why.cosine:.3f}")
    elif why.fused is not None:
        parts.append("not among the nearest vectors")
    if why.bm25 is not None:
        parts.append(f"text rank {why.text_rank}, BM25 {why.bm25:.2f} ({', '.join(why.words)})")
    elif why.fused is not None:
        parts.append("none of the words" if not why.words else "not among the best by words")
    if why.fused is not None:
        ranks = [rank for rank in (why.vector_rank, why.text_rank) if rank is not None]
        parts.append(f"fused {' + '.join(f'1/(60+{rank})' for rank in ranks)} = {why.fused:.4f}")
    if why.rerank is not None:
        parts.append(f"likelihood {why.likelihood:.3f} a token; reranked {why.rerank:.3f}")
    return "; ".join(parts)


def _summary(result: "SearchResult") -> str:
    """Say how a query was answered."""
    how = "all compared" if result.is_exact else f"approximate index, which finds {result.recall:.1%} of the nearest"
    times = f"query embedded in {result.embed_seconds * 1e3:,.0f} ms, searched in {result.search_seconds * 1e3:,.0f} ms"
    prompt = f"; prompt {result.prompt!r}" if result.prompt else ""
    return f"{result.ranking} ranking over {counted(result.num_searched, 'chunk')} ({how}); {times}{prompt}"


def _short_path(path: str) -> str:
    """A path below the working directory without it."""
    found = Path(path)
    here = Path.cwd()
    return (str(found.relative_to(here)) if found.is_relative_to(here) else path).replace("\n", "\\n")
