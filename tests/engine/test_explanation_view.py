"""What an explanation looks like: every character once, colours by share, a page that needs nothing and escapes all."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from rich.console import Console

from slimvec.engine.explanation import explain
from slimvec.engine.explanation_page import html_page
from slimvec.engine.explanation_view import terminal_view
from slimvec.reports.shown import plain as plain_text
from tests.engine.causal_models import fused, merging_backend, plain, texts

NASTY = "<script>alert('x')</script> & \"q\" ${cosine} $model"


def shown(explanation, **settings):
    console = Console(width=10_000, force_terminal=True, color_system="truecolor", legacy_windows=False)
    with console.capture() as capture:
        console.print(terminal_view(explanation, **settings), markup=False)
    return capture.get()


def bare(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


class Page(HTMLParser):
    """Reads a page: tags, attributes and the text of each section."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.sections, self.spans = [], [], {}, []
        self._section = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        values = dict(attributes)
        if tag == "p" and (values.get("class") or "").startswith("text"):
            self._section = self.sections.setdefault(len(self.sections), [])
        if tag == "span" and "data-i" in values:
            self.spans.append(values)

    def handle_endtag(self, tag):
        if tag == "p":
            self._section = None

    def handle_data(self, data):
        if self._section is not None:
            self._section.append(data)


@given(query=texts, document=texts)
def test_every_character_is_shown_once(query, document):
    parts = fused(backend=merging_backend())
    found = explain(parts, query, document)
    for explanation in (found, found.by_word()):
        page = Page(html_page(explanation))
        clean = [plain_text(text) for text in ("find: ", query, document)]
        # A parser reads what is no character as HTML says, so compare what is left of it.
        keep = re.compile(r"[^\n\t\ufdd0-\ufdef\ufffe\uffff]")
        assert ["".join(keep.findall("".join(part))) for part in page.sections.values()] == [
            "".join(keep.findall(text)) for text in clean
        ]


def test_the_terminal_shows_texts_sums_and_pairs():
    found = explain(fused(backend=merging_backend()), "ab xy", "Some text: ab.").by_word()
    view = bare(shown(found, num_pairs=3))
    lines = view.splitlines()
    assert lines[0].startswith(f"cosine {found.cosine:+.4f}  the exact sum over")
    assert "find: ab xy" in lines
    assert "Some text: ab." in lines
    prompt = sum(s for t, s in zip(found.query_tokens, found.query_share(), strict=True) if t.is_prompt)
    assert f"instruction, in italics: {prompt:+.4f}; the text's own words: {found.cosine - prompt:+.4f}" in lines
    pairs = [f"{pair.share:+.4f}" for pair in found.top_pairs(3, own_only=True)]
    assert [line.split()[0] for line in lines[-4:-1]] == pairs


def test_colours_say_size_and_sign():
    found = explain(fused(), "a", "bcdef", query_role="document")
    shares = np.array([[0.1, -0.1, 0.05, -0.05, 0.001]])
    view = shown(replace(found, shares=shares))
    line = next(line for line in view.splitlines() if bare(line) == "bcdef")
    background = dict(re.findall(r"48;2;([\d;]+)m([b-f])", line))
    assert len(background) == 4  # "f" has none
    red, blue = (lambda rgb: int(rgb.split(";")[0]), lambda rgb: int(rgb.split(";")[2]))
    for rgb, letter in background.items():
        assert (blue(rgb) > red(rgb)) == (letter in "bd")
    assert "-0.0800" in bare(view)
    assert "at most 0.1000" in bare(view)


def test_a_text_cut_off_says_so():
    found = explain(fused(max_tokens=8), "a", "0123456789")
    assert "01234567 [2 more tokens were truncated]" in bare(shown(found)).splitlines()
    assert "01234567 <i>[2 more tokens were truncated]</i>" in re.sub(r"</?span[^>]*>", "", html_page(found))


def test_special_tokens_are_shown_by_name():
    found = explain(plain("bert", "bidirectional"), "a", "b c")
    assert "[CLS]find: a[SEP]" in bare(shown(found)).splitlines()
    assert "[CLS]b c[SEP]" in bare(shown(found)).splitlines()


def test_the_page_needs_nothing_and_escapes_everything():
    found = explain(fused(), NASTY, NASTY).by_word()
    page = html_page(found, model=NASTY)
    read = Page(page)
    assert read.tags.count("script") == 1
    assert not {"link", "img", "iframe", "object"} & set(read.tags)
    assert not {"src", "href"} & {name for name, _ in read.attributes}
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page
    assert ["".join(part) for part in read.sections.values()][1:] == [NASTY, NASTY]
    assert "<script>alert" not in page


def test_the_page_holds_the_shares():
    found = explain(fused(), "ab", "xyz").by_word()
    page = html_page(found)
    cells = json.loads(re.search(r"const shares = (.*);", page).group(1))
    np.testing.assert_allclose(cells, found.shares, atol=1e-5)
    spans = Page(page).spans
    shares = [*found.query_share(), *found.document_share()]
    assert [int(span["data-i"]) for span in spans] == [
        *range(len(found.query_tokens)),
        *range(len(found.document_tokens)),
    ]
    np.testing.assert_allclose([float(span["data-s"]) for span in spans], shares, atol=1e-5)
    assert all(("n" in span["class"].split()) == (float(span["data-s"]) < 0) for span in spans)
    assert [span["title"] for span in spans] == [f"{share:+.4f}" for share in shares]


def test_a_page_of_a_very_long_text_leaves_the_pairs_out(monkeypatch):
    monkeypatch.setattr("slimvec.engine.explanation_page._MAX_CELLS", 3)
    assert "const shares = null;" in html_page(explain(fused(), "ab", "xyz"))


@pytest.mark.parametrize("view", [lambda found: bare(shown(found)), html_page])
def test_shares_of_nothing_can_be_shown(view):
    found = explain(fused(), "ab", "xyz")
    assert "0.0000" in view(replace(found, shares=np.zeros_like(found.shares)))
