from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.statistics.intervals import proportion


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_ends_are_wilsons(counts):
    count, total = counts
    found = proportion(count, total)
    for end in (found.low, found.high):
        if 0 < end < 1:  # a share from which this count is just 1.96 standard deviations away
            assert abs(count / total - end) == pytest.approx(1.959964 * sqrt(end * (1 - end) / total), rel=1e-5)
        else:
            assert count in (0, total)
    assert found.low <= found.share <= found.high


def test_nothing_counted_and_wrong_counts():
    assert str(proportion(0, 0)) == "none"
    assert str(proportion(1, 2)) == "50.0% [9.5%, 90.5%]"
    with pytest.raises(ValueError, match="3 of 2"):
        proportion(3, 2)
