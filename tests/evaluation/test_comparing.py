import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from slimvec.errors import InputError
from slimvec.evaluation.comparing import compare_reports
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import EvaluationResult, Score, SubsetResult, TaskResult, task_values
from slimvec.statistics.jackknife import average_precision_values, spearman_values
from slimvec.statistics.significance import holm, sign_flip_p_value, smallest_visible

whole = st.integers(0, 6).map(float)


def test_the_test_agrees_with_all_flips_there_are():
    differences = np.array([0.3, 0.1, -0.2, 0.4, 0.25, 0.05, 0.15, 0.35, -0.1, 0.2])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=10)]
    exact = np.mean([total >= abs(differences.sum()) - 1e-12 for total in sums])
    assert sign_flip_p_value(differences, seed=0, num_flips=200_000) == pytest.approx(exact, abs=0.002)


def test_equal_systems_are_not_distinguishable_and_queries_without_a_difference_do_not_count():
    assert sign_flip_p_value(np.zeros(5), seed=0) == 1.0
    differences = np.random.default_rng(0).normal(0.2, 1, size=40)
    padded = np.concatenate([differences, np.zeros(1000)])
    assert sign_flip_p_value(differences, seed=1) == sign_flip_p_value(padded, seed=1)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    pairs = itertools.combinations(zip(p_values, corrected, strict=True), 2)
    assert all((a[0] - b[0]) * (a[1] - b[1]) >= 0 for a, b in pairs)


def test_the_smallest_visible_difference_shrinks_with_samples_and_grows_with_tests():
    differences = np.tile([1.0, -1.0], 50)
    alone = smallest_visible(differences)
    assert alone == pytest.approx((1.959964 + 0.841621) * differences.std(ddof=1) / 10, rel=1e-5)
    assert smallest_visible(np.tile(differences, 4)) == pytest.approx(alone / 2, rel=0.01)
    assert smallest_visible(differences, num_tests=10) > alone
    assert smallest_visible(np.ones(1)) == float("inf")


@given(arrays(float, 9, elements=whole), arrays(float, 9, elements=whole))
def test_pseudo_values_of_a_rank_correlation_are_those_of_leaving_each_out(predicted, gold):
    def score(a, b):
        return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else spearmanr(a, b).statistic

    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        with pytest.raises(ValueError, match="different ones on both sides"):
            spearman_values(predicted, gold)
        return
    values = spearman_values(predicted, gold)
    assert values.mean() == pytest.approx(score(predicted, gold), abs=1e-12)
    without = [score(np.delete(predicted, i), np.delete(gold, i)) for i in range(9)]
    raw = 9 * score(predicted, gold) - 8 * np.array(without)
    np.testing.assert_allclose(values - values.mean(), raw - raw.mean(), atol=1e-9)


@pytest.mark.parametrize("decimals", [9, 0])
def test_pseudo_values_of_an_average_precision_are_those_of_leaving_each_out(decimals):
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=40).round(decimals), generator.integers(0, 2, size=40)
    values = average_precision_values(scores, labels)
    assert values.mean() == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    without = [average_precision_score(np.delete(labels, i), np.delete(scores, i)) for i in range(40)]
    raw = 40 * average_precision_score(labels, scores) - 39 * np.array(without)
    np.testing.assert_allclose(values - values.mean(), raw - raw.mean(), atol=1e-9)
    with pytest.raises(ValueError, match="needs two"):
        average_precision_values(scores, np.eye(1, 40, dtype=int)[0])


def test_task_values_draw_a_question_in_all_its_languages_at_once():
    parts = {"en": {"a": 1.0, "b": 0.0}, "de": {"b": 0.4, "a": 0.2}}
    np.testing.assert_allclose(task_values(parts), [0.6, 0.2])
    np.testing.assert_allclose(task_values(parts, centred=False), [0.6, 0.2])


def test_task_values_do_not_count_how_far_subsets_lie_apart():
    parts = {"easy": {"a": 1.0, "b": 1.0}, "hard": {"c": 0.0, "d": 0.0, "e": 0.0}}
    np.testing.assert_allclose(task_values(parts), [0.5] * 5)
    raw = task_values(parts, centred=False)
    np.testing.assert_allclose(raw, [1.25, 1.25, 0, 0, 0])
    assert raw.mean() == pytest.approx(0.5)


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=4), st.booleans())
def test_task_values_have_the_mean_of_the_subsets_means(columns, centred):
    parts = {f"s{n}": {str(i): v for i, v in enumerate(column)} for n, column in enumerate(columns)}
    expected = np.mean([np.mean(column) for column in columns])
    assert task_values(parts, centred=centred).mean() == pytest.approx(expected, abs=1e-12)


def report(name, values, *, hash_="same", task="t"):
    score = Score(value=float(np.mean(values)), low=0, high=1)
    subset = SubsetResult(
        subset="default", score=score, metrics={}, sample_ids=tuple(map(str, range(len(values)))),
        values=tuple(map(float, values)), prompts={}, num_texts=len(values), num_tokens=0, truncated_share=None,
    )  # fmt: skip
    found = TaskResult(
        task=task, kind="Retrieval", protocol="", measure="ndcg_at_10", score=score, unit="queries", method="mean",
        subsets=(subset,), instruction=None, dataset_hash=hash_, seconds=0,
    )  # fmt: skip
    return EvaluationResult(
        model=ModelCard(name=name, kind="slimvec", identity=name), suite="s", tasks=(found,), seed=0, task_seed=42,
        num_resamples=10, versions={},
    )  # fmt: skip


def test_reports_are_compared_by_sample_whatever_their_order():
    generator = np.random.default_rng(0)
    values = generator.random(200)
    better = report("a", np.clip(values + 0.05, 0, 1))
    found = compare_reports(better, report("b", values), num_resamples=2000).tasks[0]
    assert found.verdict == "first"
    assert (found.p_value, found.num_samples) == (found.p_corrected, 200)
    assert compare_reports(report("b", values), better, num_resamples=2000).tasks[0].verdict == "second"
    noise = compare_reports(report("a", values), report("b", generator.permutation(values)), num_resamples=2000).tasks[
        0
    ]
    assert noise.verdict == "not distinguishable"
    assert noise.smallest_seen > abs(noise.difference)
    shuffled = better.model_copy(update={"tasks": (reversed_samples(better.tasks[0]),)})
    assert compare_reports(shuffled, report("b", values), num_resamples=2000).tasks[0].difference == found.difference


def reversed_samples(task):
    subset = task.subsets[0]
    turned = {"sample_ids": subset.sample_ids[::-1], "values": subset.values[::-1]}
    return task.model_copy(update={"subsets": (subset.model_copy(update=turned),)})


def test_other_data_is_not_compared():
    one, other = report("a", [0, 1]), report("b", [0, 1], hash_="other")
    with pytest.raises(InputError, match="task t was not the same in both evaluations"):
        compare_reports(one, other)
    with pytest.raises(InputError, match="share no task"):
        compare_reports(one, report("b", [0, 1], task="u"))


def test_a_report_is_read_as_it_was_written(tmp_path):
    written = report("a", [0.25, 1])
    written.write(tmp_path / "r.json")
    assert EvaluationResult.read(tmp_path / "r.json") == written
    with pytest.raises(InputError, match=r"cannot be read: No such file .*; expected the results of an evaluation"):
        EvaluationResult.read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match=r"bad.json: model: Field required"):
        EvaluationResult.read(tmp_path / "bad.json")
