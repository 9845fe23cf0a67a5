"""One way from what is measured to metrics, cells, curves and words; methods and outside sets as probes read them."""

import json
from dataclasses import replace

import pytest

from slimvec.errors import InputError
from slimvec.probes.documents import read_set
from slimvec.probes.protocol import answered, read_methods
from slimvec.probes.registry import PROBES
from slimvec.probes.results import Figure, curve, lay_out
from slimvec.statistics.intervals import Interval
from tests.probes.support import Counting, measure

FIGURE = Figure("accuracy", "share", True, "chance")
FOUND = Interval(0.7, 0.6, 0.8)


def test_a_metric_has_what_its_figure_declares():
    metric = FIGURE.metric(FOUND, 100, "role swap", "en", baseline=0.5)
    assert metric == measure("accuracy/role swap/en")
    bare = FIGURE.metric(FOUND, 9)
    assert (bare.name, bare.value, bare.low, bare.high) == ("accuracy", 0.7, None, None)  # nine items give no interval
    assert (bare.baseline, bare.baseline_name) == (None, "")
    counted = FIGURE.metric(0.7, 100)  # a number that is no estimate
    assert (counted.value, counted.low, counted.high) == (0.7, None, None)
    assert replace(FIGURE, higher_is_better=None).metric(FOUND, 10).higher_is_better is None


def test_numbers_are_written_with_their_intervals():
    assert f"{FOUND:.0%}" == f"{measure():.0%}" == "70% [60%, 80%]"
    assert f"{measure(low=None, high=None):+.2f}" == "+0.70"


@pytest.mark.parametrize(
    ("more", "apart"),
    [({}, True), ({"baseline": 0.6}, False), ({"baseline": 0.9}, True), ({"low": None, "high": None}, False)],
)
def test_a_metric_is_apart_where_its_interval_leaves_the_baseline_out(more, apart):
    assert measure(**more).is_apart == apart
    assert not measure(baseline=None, baseline_name="").is_apart


def test_a_table_is_a_header_and_formats_over_rows():
    rows = [("a | {b}", measure(), 1234), ("c", measure(low=None, high=None), 5)]
    table = lay_out("By kind", "kind | share | chance | n", "{0} | {1:.0%} | {1.baseline:.1f} | {2:,}", rows, "note")
    assert (table.title, table.header, table.note) == ("By kind", ("kind", "share", "chance", "n"), "note")
    assert table.rows == (("a | {b}", "70% [60%, 80%]", "0.5", "1,234"), ("c", "70%", "0.5", "5"))
    with pytest.raises(ValueError, match="table 'x' has 2 columns and a row of 1"):
        lay_out("x", "a | b", "{0}", [("a",)])


def test_curves_are_of_estimates_or_of_numbers():
    drawn = curve("model", [measure(), measure(low=None, high=None), FOUND])
    assert (drawn.xs, drawn.ys) == ((0.0, 1.0, 2.0), (0.7, 0.7, 0.7))
    assert (drawn.lows, drawn.highs) == ((0.6, 0.7, 0.6), (0.8, 0.7, 0.8))
    plain = curve("chance", [0.5, 0.5], (32, 64), baseline=True)
    assert (plain.xs, plain.lows, plain.highs, plain.baseline) == ((32.0, 64.0), (), (), True)


def test_every_probe_has_a_method_and_no_method_is_left_over():
    methods = read_methods()
    assert set(PROBES) == {name for name in methods if "/" not in name}
    assert {name.partition("/")[0] for name in methods} == set(PROBES)
    assert all(method.definition.endswith(".") for method in methods.values())


def test_an_answer_has_the_method_with_what_is_known_when_it_is_run():
    found = answered(Counting("attention"), "So.", [measure()], num_tokens=25, middle=13)
    assert found.definition.startswith("Texts of 25 tokens, ")
    assert "token 13 of every other text" in found.definition
    assert answered(Counting("order"), "So.", [measure()]).sources == read_methods()["order"].sources
    with pytest.raises(KeyError, match="num_tokens"):
        answered(Counting("attention"), "So.", [measure()])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"s1": "a"}, "set.jsonl:1: no field 'score'; expected the fields s1, score"),
        ({"s1": " ", "score": 1}, "set.jsonl:1: s1 is empty; expected some text"),
        ({"s1": "a", "score": True}, "set.jsonl:1: score True; expected a number"),
        ({"s1": "a", "score": "1"}, "set.jsonl:1: score '1'; expected a number"),
    ],
)
def test_rows_of_outside_sets_are_checked(row, message, tmp_path):
    (tmp_path / "set.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError) as caught:
        list(read_set(tmp_path, "set.jsonl", ("s1",), ("score",)))
    assert message in str(caught.value)


def test_an_outside_set_that_is_not_at_hand_has_no_rows(tmp_path):
    assert list(read_set(None, "set.jsonl", ("s1",))) == []
    (tmp_path / "set.jsonl").write_text('{"s1": "a", "score": 4.5, "more": 1}\n')
    assert [row[1:] for row in read_set(tmp_path, "set.jsonl", ("s1",), ("score",))] == [(("a",), (4.5,))]
