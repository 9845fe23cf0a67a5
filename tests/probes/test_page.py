"""Reports on paper: all that was read is in all forms of it, alone and side by side."""

import json
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.probes.page import difference_table, pair_plots, report_blocks, summary_rows, write_probe_reports
from slimvec.probes.results import ProbeReport, difference, show, show_baseline, show_measure
from slimvec.reports.blocks import to_html, to_markdown
from slimvec.reports.parts import Table
from tests.probes.support import dots, lines, measure, report, result
from tests.reports.support import read

NAMES = ("model-a", "model-b")


def test_a_folder_holds_page_markdown_pictures_and_json(tmp_path):
    first = report(result(), result("attention", measures=(), plots=(), tables=(), answer="", skipped="no states"))
    write_probe_reports(tmp_path / "out", [first])
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["plots/order-1.svg", "plots/order-2.svg", "report.html", "report.json", "report.md"]
    assert ProbeReport.read(tmp_path / "out" / "report.json") == first
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert page.count("<svg") == 2
    for text in (read(page), (tmp_path / "out" / "report.md").read_text()):
        for wanted in (
            "What model-a sees of a text",
            "Does it see the order of words?",
            "It is right in 70.0% of the triplets.",
            "70.0% [60.0%, 80.0%]",
            "50.0% (chance)",
            "0.031 [0.020, 0.040]",
            "Train with order negatives",
            "A paper",
            "Left out: no states",
            "300 texts; 1.5 s; seed 0",
            "prompt of query",
            "Accuracy by kind",
        ):
            assert wanted in text
    with pytest.raises(InputError, match="out exists; expected a new path; pass --force"):
        write_probe_reports(tmp_path / "out", [first])
    write_probe_reports(tmp_path / "out", [first], force=True)


def test_two_models_stand_side_by_side(tmp_path):
    second = report(result(measures=(measure(value=0.9, low=0.85, high=0.95),)), name="model-b")
    write_probe_reports(tmp_path / "out", [report(), second])
    assert ProbeReport.read(tmp_path / "out" / "against.json") == second
    text = read((tmp_path / "out" / "report.html").read_text())
    assert "model-b: It is right" in text
    assert "Measures, model-b" in text
    assert "-20.0 [-31.2, -8.8]" in text
    assert text.count("Accuracy by kind") == 1  # in one frame


def test_what_both_models_have_is_said_once():
    shared = Table(title="An item of each kind", header=("kind", "text"), rows=(("role swap", "Carla warned Peter."),))
    own = [Table(title="By kind", header=("kind", "n"), rows=(("role swap", value),)) for value in ("1", "2")]
    both = [report(result(tables=(own[n], shared), skipped="no data"), name=NAMES[n]) for n in range(2)]
    text = to_markdown(list(report_blocks(both)))
    assert text.count("An item of each kind") == 1
    assert "By kind, model-a" in text
    assert "By kind, model-b" in text
    assert text.count("left out: no data") == 1
    both[1] = report(result(skipped="no states"), name="model-b")
    text = to_markdown(list(report_blocks(both)))
    assert "model-a: left out: no data" in text
    assert "model-b: left out: no states" in text


def test_the_summary_has_a_row_a_probe_and_model():
    rows = summary_rows([report(), report(result(answer="", skipped="no states", measures=()), name="model-b")])
    assert rows[0][:5] == ("order", "model-a", "accuracy", "70.0% [60.0%, 80.0%]", "50.0% (chance)")
    assert rows[1] == ("order", "model-b", "", "", "", "Left out: no states")


@pytest.mark.parametrize(
    ("value", "unit", "signed", "shown"),
    [
        (0.7123, "share", False, "71.2%"),
        (0.0312, "share", True, "+3.1"),
        (-0.5, "cosine", False, "-0.500"),
        (0.5, "ratio", True, "+0.500"),
        (1234.4, "tokens", False, "1,234"),
        (12.34, "count", False, "12.3"),
        (12.0, "count", False, "12"),
    ],
)
def test_numbers_are_written_as_their_unit_wants(value, unit, signed, shown):
    assert show(value, unit, signed=signed) == shown


def test_what_has_no_interval_or_baseline_is_written_without():
    plain = measure(low=None, high=None, baseline=None, baseline_name="")
    assert show_measure(plain) == "70.0%"
    assert show_baseline(plain) == ""


@given(*[st.floats(0, 1)] * 6)
def test_the_interval_of_a_difference_holds_it_and_is_never_narrower_than_either(a, b, c, d, e, f):
    (low, value, high), (other_low, other, other_high) = sorted((a, b, c)), sorted((d, e, f))
    one, two = measure(value=value, low=low, high=high), measure(value=other, low=other_low, high=other_high)
    found, interval = difference(one, two)
    assert found == value - other
    assert interval.low <= found <= interval.high
    assert interval.high - found >= max(high - value, other - other_low) - 1e-12
    back, mirrored = difference(two, one)
    assert (back, mirrored.low) == (-found, pytest.approx(-interval.high))


def test_the_interval_is_that_of_normal_means_where_the_two_are():
    one, two = measure(value=0.5, low=0.4, high=0.6), measure(value=0.3, low=0.1, high=0.5)
    _, interval = difference(one, two)
    assert interval.low == pytest.approx(0.2 - sqrt(0.1**2 + 0.2**2))
    assert difference(one, measure(low=None, high=None))[1] is None


def test_differences_are_of_shared_measures_of_one_unit():
    one = result(measures=(measure("a"), measure("b"), measure("c")))
    two = result(measures=(measure("a", 0.71, low=0.6, high=0.8), measure("b", unit="cosine"), measure("d")))
    table = difference_table(one, two, NAMES)
    assert table.header == ("measure", *NAMES, "difference", "apart")
    assert [row[0] for row in table.rows] == ["a"]
    assert table.rows[0][3:] == ("-1.0 [-14.5, +13.9]", "not distinguishable")


def test_plots_of_one_title_share_a_frame_with_all_categories():
    one = result(plots=(dots(), lines("only a")))
    two = result(plots=(dots(categories=("negation", "shuffle"), values=(0.9, 0.8)), lines("only b")))
    shared, lone, other = pair_plots([one, two], NAMES)
    assert shared[0].categories == shared[1].categories == ("role swap", "negation", "shuffle")
    assert shared[1].curves[0].xs == (1.0, 2.0)
    assert (lone[0].title, lone[1]) == ("only a, model-a", None)
    assert (other[0].title, other[1]) == ("only b, model-b", None)
    assert pair_plots([one], NAMES[:1]) == [(plot, None) for plot in one.plots]


def test_text_from_outside_is_escaped():
    card = ModelCard(name="<b>&|", kind="planted", identity=None)
    odd = report().model_copy(update={"model": card})
    blocks = list(report_blocks([odd]))
    assert "<b>&|" in read(to_html("t", blocks))


def test_json_holds_the_numbers_as_they_are(tmp_path):
    report().write(tmp_path / "r.json")
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["readings"][0]["measures"][0]["value"] == 0.7
