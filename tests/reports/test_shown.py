"""What a terminal, Markdown and HTML are given of texts that anyone may have written."""

import io
import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table as RichTable
from rich.text import Text

from slimvec.cli.console import SafeConsole
from slimvec.cli.failures import report
from slimvec.cli.hits import Hit, hits_table
from slimvec.cli.progress import Task, shown
from slimvec.cli.terminal import Terminal
from slimvec.data.card import make_data_card
from slimvec.data.card.page import render_markdown
from slimvec.errors import InputError
from slimvec.reports.blocks import Heading, Items, Paragraph, Picture, to_html, to_markdown
from slimvec.reports.parts import Table
from slimvec.reports.shown import in_html, in_markdown, markdown_line, plain, shown_p
from tests.data.test_data_card import summary

ACTS = {
    "colour": "\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "c1": "\x9b31m\x9d52;c;ZXZpbA==\x9c",
    "overwritten": "good\r\x08\x08evil",
    "bidirectional": "abc\u202egpj.exe\u2066\u2069",
    "marks": "a\u200e\u200f\u061cb",
    "tags": "a\U000e0041b",
    "half a pair": "a\udcffb",
}
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0041]")
MARKUP = {
    "link": "[here](http://evil.example)",
    "picture": "![x](http://evil.example/x.png)",
    "reference": "[a]: http://evil.example",
    "html": "<img src=x onerror=alert(1)>",
    "script": "</td></table><script>alert(1)</script>",
    "autolink": "<http://evil.example>",
    "address": "see http://evil.example and www.evil.example",
    "emphasis": "*a* **b** _c_ __d__ ~~e~~ snake_case_name",
    "code": "`a` ``b`` ` c",
    "pipe in code": "`\\|<img src=x>`",
    "pipes": "a|b\\|c | d",
    "heading": "# a",
    "list": "- a",
    "number": "1. a",
    "quote": "> a",
    "rule": "---",
    "fence": "```\na",
    "entity": "&lt;b&gt; &#60;",
    "lines": "a\n\n<b>\n\n# c",
    "indented": "     a",
    "maths": "$a$",
}
PAGE = MarkdownIt("js-default")
LIVE = re.compile(
    r"<(?!/?(?:p|table|thead|tbody|tr|th|td|strong|code|h1|h2|ul|li|blockquote|img)\b)[a-z/]", re.IGNORECASE
)


@pytest.mark.parametrize("text", ACTS.values(), ids=ACTS)
def test_a_terminal_has_nothing_to_obey(text, capsys, monkeypatch):
    terminal = Terminal()
    table = RichTable(text)
    table.add_row(text)
    terminal.print(
        text, Text(text), table, hits_table(text, [Hit(1, 0.5, "a", text, text), Hit(2, 0.5, "b", "", text)])
    )
    terminal.remark(text)
    report(InputError(text, expected=text, do=text), debug=True)
    report(ValueError(text), debug=False)
    monkeypatch.setattr("slimvec.cli.progress.LINE_SECONDS", 0.001)
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    task = Task(text)
    task.detail = text
    with shown(task, quiet=False):
        while "\n" not in written.getvalue():
            pass
    out, err = capsys.readouterr()
    assert OBEYED.search(out + err + written.getvalue()) is None
    assert plain(text)[:4] in out


def test_a_bar_and_a_coloured_terminal_have_none_either():
    written = io.StringIO()
    console = SafeConsole(file=written)
    console.print(Text("a\x1b[31m", style="bold"), "[red]b[/red] :smile:")
    assert written.getvalue() == "a\\x1b[31m [red]b[/red] :smile:\n"


def test_ordinary_text_of_all_scripts_stays_as_it_is():
    text = "na\u00efve \u65e5\u672c \u0627\u0644\u0639 \u05e2\u05d1\u05e8 \U0001f469\u200d\U0001f52c a\u00adb\tc\nd"
    assert plain(text) == text


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP)
def test_markdown_reads_as_it_is(text):
    expected = " ".join(text.split())
    table = Table(title=text, header=(text, "n"), rows=((text, "1"),), note=text)
    page = PAGE.render(to_markdown([Heading(text), Paragraph(text), Paragraph(text, "answer"), Items((text,)), table]))
    assert LIVE.search(page) is None, page
    assert "<img" not in page
    words = unescape(re.sub(r"<[^>]*>", "", page))
    if "`" not in text:
        assert words.count(expected) == 8, words


def test_a_picture_s_title_is_no_link():
    page = PAGE.render(to_markdown([Picture("a](http://evil.example) [b", "<svg/>", "x")]))
    assert page.strip() == '<p><img src="plots/x.svg" alt="a](http://evil.example) [b"></p>'


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(alphabet="ab1 \\`*_<>[]()!#|~$&;:/.-+=\n\x1b\u202e", max_size=24))
def test_no_text_comes_alive(text):
    for block in (Paragraph(text), Items((text,)), Table(title="", header=("h", "n"), rows=((text, "1"),))):
        page = PAGE.render(to_markdown([block]))
        assert LIVE.search(page) is None, page
        assert "<img" not in page
        assert OBEYED.search(page) is None
    assert PAGE.render(to_markdown([Table(title="", header=("h", "n"), rows=((text, "1"),))])).count("<td") == 2
    if "`" not in text and text.strip():
        assert (
            unescape(re.sub(r"</?p>", "", PAGE.render(markdown_line(text)))).strip()
            == unescape(re.sub(r"</?p>", "", PAGE.render(in_markdown(f"x{text}")))).strip().removeprefix("x").strip()
        )


@pytest.mark.parametrize("text", [*MARKUP.values(), *ACTS.values()], ids=[*MARKUP, *ACTS])
def test_html_has_no_markup_of_texts(text):
    page = to_html(text, [Paragraph(text), Table(title=text, header=(text,), rows=((text,),))])
    assert page.count("<p>") == 1
    assert not re.search("<(img|script|b)[ >]", page)
    assert OBEYED.search(page) is None
    assert in_html("\"'<") == "&quot;&#x27;&lt;"


def test_a_data_card_shows_names_as_they_are():
    card = make_data_card([summary(name="[a](http://evil.example)<b>", path="x`<script>`")])
    page = PAGE.render(render_markdown(card))
    assert "<a " not in page
    assert "<b>" not in page
    assert "<script>" not in page


@pytest.mark.parametrize(("p", "text"), [(1, "1.0000"), (0.00005, "0.0001"), (0.00004, "<.0001"), (0, "<.0001")])
def test_no_p_value_is_zero(p, text):
    assert shown_p(p) == text
