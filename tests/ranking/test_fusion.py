"""Fused scores: what they are, what they do not depend on, and the weight that fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slimvec.ranking.fusion import fit_weight, fuse_scores, fused_ndcg, standardise

scores = arrays(np.float32, st.integers(1, 12), elements=st.floats(-100, 100, width=32))


@given(scores, st.floats(0.5, 50), st.floats(-50, 50))
def test_standardised_scores_have_no_scale(found, scale, shift):
    moved = standardise(found * scale + shift)
    plain = standardise(found)
    if found.std() > 0.01 * max(1, np.abs(found).max()):
        np.testing.assert_allclose(moved, plain, atol=1e-2)
        assert plain.mean() == pytest.approx(0, abs=1e-9)
        assert plain.std() == pytest.approx(1, abs=1e-9)


def test_scores_all_alike_say_nothing():
    assert standardise(np.full(4, 0.1, dtype=np.float32)).tolist() == [0, 0, 0, 0]
    assert standardise(np.array([0.3])).tolist() == [0]


def test_a_weight_is_a_share():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([300.0, 100.0, 200.0])
    np.testing.assert_allclose(fuse_scores(first, second, 0), standardise(first))
    np.testing.assert_allclose(fuse_scores(first, second, 1), standardise(second))
    np.testing.assert_allclose(fuse_scores(first, second, 0.25), 0.75 * standardise(first) + 0.25 * standardise(second))


def judged(first, second, right):
    return np.array(first, float), np.array(second, float), np.array([number == right for number in range(3)], float)


def test_the_weight_that_fits():
    by_first = judged([3, 2, 1], [1, 2, 3], 0)
    by_second = judged([3, 2, 1], [1, 2, 3], 2)
    nothing = (np.zeros(3), np.ones(3), np.zeros(3))
    assert fit_weight([[by_first, nothing]]) == 0
    assert fit_weight([[by_second], [nothing]]) > 0.5
    both = judged([5, 4, 0], [0, 4, 5], 1)  # the second of each, the first of both together
    assert 0 < fit_weight([[both]]) < 1
    with pytest.raises(ValueError, match="without relevant candidates"):
        fit_weight([[nothing]])


def test_relevant_documents_that_are_no_candidates_count():
    query = judged([3, 2, 1], [1, 2, 3], 0)
    assert fused_ndcg([query], 0)[0] == 1
    assert fused_ndcg([query], 0, relevant=[[1, 1]])[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))
