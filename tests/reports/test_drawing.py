"""Pictures: well-formed, whole, and distinguished without colour."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slimvec.reports.drawing import draw
from slimvec.reports.marks import COLOURS, Scale, Style, log_marks, marker, marks, span
from slimvec.reports.parts import Curve, Plot
from tests.probes.support import dots, lines

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e6, 1e6, allow_nan=False)


def parsed(svg):
    return ElementTree.fromstring(svg)


def texts(svg):
    return ["".join(node.itertext()) for node in parsed(svg).iter(f"{SVG}text")]


@given(st.lists(finite, min_size=1, max_size=9))
def test_an_axis_holds_all_values_and_has_round_marks(values):
    low, high = span(values)
    assert low < high
    assert low <= min(values)
    assert max(values) <= high
    found = marks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-6 * (high - low) <= mark <= high + 1e-6 * (high - low) for mark in found)
    scale = Scale(low, high, 300.0, 20.0)
    assert all(20 - 1e-6 <= scale.place(value) <= 300 + 1e-6 for value in values)


def test_shares_have_the_whole_scale_and_small_differences_their_own():
    assert span([0.2, 0.9]) == (0.0, 1.0)
    assert span([0.91, 0.93])[0] > 0.8
    assert span([1.0, 1.0]) == (0.9, 1.0)
    assert span([0.0, 0.0]) == (-0.5, 0.5)
    assert span([100.0, 400.0])[0] == 0.0
    assert marks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_an_axis_in_powers_has_equal_steps_for_equal_factors():
    scale = Scale(1, 100, 0, 10, log=True)
    assert scale.place(10) == pytest.approx(5)
    assert log_marks([64, 128, 512]) == [64, 128, 512]
    assert log_marks([float(n) for n in range(1, 129)]) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert 2 <= len(log_marks([float(2**n) for n in range(40)])) <= 10


@pytest.mark.parametrize("plot", [dots(), lines(), lines(x_log=True), lines().model_copy(update={"kind": "points"})])
def test_everything_is_in_the_picture_and_nothing_outside(plot):
    svg = draw(plot)
    root = parsed(svg)
    width, height = (float(root.get(name)) for name in ("width", "height"))
    found = texts(svg)
    assert {plot.x_label, plot.y_label, *plot.categories, *(curve.label for curve in plot.curves)} <= set(found)
    assert "nan" not in svg
    for node in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.get(name, 0)) <= height
    assert "script" not in svg
    assert root.get("aria-label") == plot.title


def test_points_have_a_whisker_each_where_there_are_intervals():
    plot = lines().model_copy(update={"kind": "points"})
    bare = plot.model_copy(
        update={"curves": tuple(c.model_copy(update={"lows": (), "highs": ()}) for c in plot.curves)}
    )
    drawn = [sum(1 for _ in parsed(draw(p)).iter(f"{SVG}line")) for p in (plot, bare)]
    assert drawn[0] - drawn[1] == sum(len(curve.lows) for curve in plot.curves if not curve.baseline) > 0


def test_values_stand_where_the_axis_says():
    root = parsed(draw(dots(values=(0.25, 0.75))))
    rows = {"".join(node.itertext()): float(node.get("y")) - 4 for node in root.iter(f"{SVG}text")}
    circles = [node for node in root.iter(f"{SVG}circle") if node.find(f"{SVG}title") is not None]
    unit = rows["0"] - rows["1"]
    for circle, value in zip(circles, (0.25, 0.75), strict=True):
        assert float(circle.get("cy")) == pytest.approx(rows["0"] - value * unit, abs=0.2)
    assert circles[0].find(f"{SVG}title").text == "all languages, role swap: 0.25 [0.15, 0.35]"


def test_two_models_share_a_frame_and_differ_in_filling_and_dash():
    svg = draw(lines(), lines(), names=("A", "B"))
    assert {"A: needle", "B: needle"} <= set(texts(svg))
    fills = [node.get("fill") for node in parsed(svg).iter(f"{SVG}circle")]
    assert len(set(fills)) == 2
    assert "#fff" in fills
    dashes = [node.get("stroke-dasharray") for node in parsed(svg).iter(f"{SVG}polyline")]
    assert len(set(dashes)) == 2


def test_a_baseline_that_two_models_share_is_drawn_once():
    svg = draw(dots(), dots(values=(0.8, 0.9)), names=("A", "B"))
    assert [text for text in texts(svg) if "chance" in text] == ["chance"]


def test_curves_differ_in_shape_and_colour():
    drawn = {re.sub(r"#\w+", "", marker(Style("#000000", n), 0, 0)) for n in range(6)}
    assert len(drawn) == 6
    assert len({Style("#000000", n).dash for n in (0, 6, 12)}) == 3
    assert len({marker(Style(COLOURS[n % len(COLOURS)], n), 0, 0) for n in range(36)}) == 36


def test_long_names_stand_at_a_slant_and_many_make_the_picture_wide():
    many = tuple(f"language number {n} with a very long name indeed" for n in range(120))
    svg = draw(dots(categories=many, values=tuple(math.sin(n) ** 2 for n in range(120))))
    assert float(parsed(svg).get("width")) > 1400
    assert svg.count("rotate(-90") == 121
    assert "\N{HORIZONTAL ELLIPSIS}" in svg
    few = tuple(f"a kind with a long name {n}" for n in range(8))
    assert draw(dots(categories=few, values=(0.5,) * 8)).count("rotate(-35") == 8


def test_a_single_point_and_equal_values_can_be_drawn():
    for x_log in (False, True):
        curve = Curve(label="one", xs=(3.0,), ys=(0.0,))
        parsed(draw(Plot(title="t", x_label="x", y_label="y", curves=(curve,), x_log=x_log)))


def test_names_are_escaped():
    svg = draw(dots(categories=("a<b", "c&d")))
    assert {"a<b", "c&d"} <= set(texts(svg))


def test_what_cannot_be_drawn_is_refused():
    curve = Curve(label="a", xs=(0.0, 2.0), ys=(1.0, 1.0))
    with pytest.raises(ValidationError, match="plot 't' has dots outside its 2 categories"):
        Plot(title="t", x_label="x", y_label="y", kind="dots", categories=("a", "b"), curves=(curve,))
    with pytest.raises(ValidationError, match="plot 't' has a place of 0 on an axis in powers"):
        Plot(title="t", x_label="x", y_label="y", curves=(curve,), x_log=True)
    with pytest.raises(ValidationError, match="finite number"):
        Curve(label="a", xs=(0.0,), ys=(float("nan"),))


def test_single_points_are_named_where_they_stand():
    alone = [Curve(label=name, xs=(x,), ys=(y,)) for name, x, y in (("one", 0.1, 0.2), ("two", 0.9, 0.8))]
    plot = Plot(title="Remedy against price", x_label="x", y_label="y", curves=tuple(alone), kind="points")
    assert [draw(plot).count(f">{curve.label}</text>") for curve in alone] == [2, 2]  # in the legend as well
    longer = Curve(label="one", xs=(0.1, 0.3), ys=(0.2, 0.2))
    several = draw(plot.model_copy(update={"curves": (longer, alone[1])}))
    assert several.count(">one</text>") == several.count(">two</text>") == 1
