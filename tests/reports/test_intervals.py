"""Pictures of intervals: where the scale says, and at the edge where it ends."""

from xml.etree import ElementTree

import pytest

from slimvec.reports.intervals import Row, draw_intervals

SVG = "{http://www.w3.org/2000/svg}"


def drawn(rows, low=0.0, high=1.0, **more):
    return ElementTree.fromstring(draw_intervals("Scores <of> all", rows, low, high, **more))


def words(root):
    return {"".join(node.itertext()): node for node in root.iter(f"{SVG}text")}


def bars(root):
    return [line for line in root.iter(f"{SVG}line") if line.get("stroke-width") == "2"]


def test_a_value_stands_where_the_scale_says():
    root = drawn([Row("task", [(0.2, 0.5, 0.6)])])
    marks = {name: float(node.get("x")) for name, node in words(root).items() if name in "01"}
    span = marks["1"] - marks["0"]
    (bar,) = bars(root)
    (dot,) = root.iter(f"{SVG}circle")
    found = [float(node.get(name)) for node, name in ((bar, "x1"), (dot, "cx"), (bar, "x2"))]
    assert found == pytest.approx([marks["0"] + share * span for share in (0.2, 0.5, 0.6)], abs=0.2)
    assert root.get("aria-label") == "Scores <of> all"


def test_what_is_outside_is_an_arrow_at_the_edge():
    root = drawn([Row("far", [(-0.5, -0.4, 0.1)]), Row("wide", [(-5, 0.5, 7)])])
    marks = {name: float(node.get("x")) for name, node in words(root).items() if name in "01"}
    far, wide = bars(root)
    assert float(far.get("x1")) == pytest.approx(marks["0"], abs=0.2)
    assert [float(wide.get(end)) for end in ("x1", "x2")] == pytest.approx([marks["0"], marks["1"]], abs=0.2)
    assert len(list(root.iter(f"{SVG}path"))) == len(list(root.iter(f"{SVG}circle"))) == 1


def test_rows_have_labels_notes_colours_and_a_legend():
    rows = [
        Row("a task with a long name", [(0.1, 0.2, 0.3), (0.2, 0.3, 0.4)]),
        Row("b", [(0, 0.1, 0.2)], "+0.1", "#aa1111"),
    ]
    root = drawn(rows, legend=["one", "two"])
    found = words(root)
    assert {"a task with a long name", "b", "+0.1", "one", "two"} <= found.keys()
    assert len({bar.get("stroke") for bar in bars(root)}) == 3
    assert bars(root)[2].get("stroke") == found["+0.1"].get("fill") == "#aa1111"
    first, second = bars(root)[:2]
    assert first.get("y1") != second.get("y1")
    width, height = float(root.get("width")), float(root.get("height"))
    for node in root.iter(f"{SVG}text"):
        assert 0 <= float(node.get("x")) <= width
        assert 0 <= float(node.get("y")) <= height


def test_no_rows_are_an_empty_picture():
    assert bars(drawn([])) == []
