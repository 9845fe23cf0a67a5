"""Names of points: beside their own point, within the frame, over nothing."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from slimvec.reports.drawing import Box, place_names

FRAME = Box(0, 0, 400, 200)
POINTS = st.lists(st.tuples(st.floats(0, 400), st.floats(0, 200), st.floats(5, 150)), max_size=12)


@given(POINTS)
def test_no_name_lies_over_another_or_over_a_point_or_out_of_the_frame(drawn):
    points = [(x, y) for x, y, _ in drawn]
    boxes = place_names(points, [width for *_, width in drawn], FRAME)
    placed = [box for box in boxes if box is not None]
    assert all(FRAME.holds(box) for box in placed)
    assert not any(one.meets(other) for one, other in combinations(placed, 2))
    assert not any(box.left < x < box.right and box.top < y < box.bottom for box in placed for x, y in points)
    for (x, y, width), box in zip(drawn, boxes, strict=True):
        if box is not None:
            assert abs(box.right - box.left - width) < 1e-6
            assert box.left - 7 <= x <= box.right + 7
            assert box.top - 7 <= y <= box.bottom + 7


def test_a_name_stands_right_of_its_point_unless_something_is_there():
    (alone,) = place_names([(100, 100)], [50], FRAME)
    assert alone.left > 100
    left, right = place_names([(100, 100), (120, 100)], [50, 50], FRAME)
    assert left.right < 100
    assert right.left > 120
    (at_the_edge,) = place_names([(390, 100)], [50], FRAME)
    assert at_the_edge.right < 390


def test_points_on_top_of_each_other_are_named_around_it_or_not_at_all():
    boxes = place_names([(100, 100)] * 7, [50] * 7, FRAME)
    assert [box is None for box in boxes] == [False] * 6 + [True]
