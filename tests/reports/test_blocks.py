"""Blocks of a report: the same words in Markdown and on the page, and nothing of them taken for markup."""

from hypothesis import given
from hypothesis import strategies as st

from slimvec.reports.blocks import Heading, Items, Paragraph, Picture, to_html, to_markdown, write_pages
from slimvec.reports.parts import Table
from tests.reports.support import read

PICTURE = Picture("Scores", '<svg xmlns="http://www.w3.org/2000/svg"></svg>', "scores")
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=9)


def test_every_kind_of_block_in_markdown():
    blocks = [
        Heading("Title", 1),
        Heading("Part"),
        Paragraph("Said."),
        Paragraph("Came out.", "answer"),
        Paragraph("In doubt.", "warning"),
        Items(("one", "two")),
        PICTURE,
        Table(title="Sizes", header=("name", "size"), rows=(("a", "1,000"), ("b", "-0.5 [-1.0, 0.2]")), note="Of all."),
    ]
    assert to_markdown(blocks).split("\n\n") == [
        "# Title",
        "## Part",
        "Said.",
        "> Came out.",
        "**In doubt.**",
        "- one\n- two",
        "![Scores](plots/scores.svg)",
        "**Sizes**",
        "| name | size |\n| --- | ---: |\n| a | 1,000 |\n| b | -0.5 [-1.0, 0.2] |",
        "Of all.\n",
    ]
    assert read(to_html("t", blocks)).split()[-2:] == ["Of", "all."]


@given(words, words)
def test_text_is_escaped_wherever_it_stands(one, other):
    table = Table(title=one, header=(one, "n"), rows=((other, "1"),), note=other)
    page = to_html(one, [Heading(one), Paragraph(other, "note"), Items((one,)), Picture(other, "", "x"), table])
    shown = read(page)
    assert shown.count(one) >= 4
    assert shown.count(other) >= 3


def test_a_cell_stays_in_its_row():
    table = Table(title="", header=("a", "b"), rows=(("x|y\r\n  z", "1"),))
    assert to_markdown([table]).splitlines()[2] == "| x\\|y z | 1 |"


def test_long_tables_are_folded_up():
    table = Table(title="Languages", header=("language", "share"), rows=(("bod", "1.0%"),) * 40)
    page = to_html("t", [table])
    assert "<details><summary>All 40 rows</summary>" in page
    assert page.count("<td>bod</td>") == 12 + 40


def test_pages_are_written_with_their_pictures(tmp_path):
    write_pages(tmp_path, "t", [Heading("Title", 1), PICTURE])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plots", "report.html", "report.md"]
    assert (tmp_path / "plots/scores.svg").read_text().strip() == PICTURE.svg
    assert PICTURE.svg in (tmp_path / "report.html").read_text()
