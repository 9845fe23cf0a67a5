"""What a report calls a difference: over trainings, over queries where nothing is trained, or no verdict at all."""

import numpy as np
import pytest

from slimvec.comparison.judging import _groups
from slimvec.comparison.layout import markdown
from slimvec.comparison.study_report import make_report
from slimvec.errors import InputError
from tests.comparison.support import result

SEEDS = (0, 1, 2)
VARIANTS = {"base": {}, "other": {}, "raw": {"trained": False}, "rawer": {"trained": False, "against": "raw"}}
SPREAD = {"deviation": 0.002, "seeds": 6, "source": "another study"}


def results(seeds, *, luck=0.0, ahead=0.1, num_queries=80):
    """Runs of four variants; a training moves all of its queries by its luck, other way round in `other`."""
    generator = np.random.default_rng(0)
    queries = generator.uniform(0.2, 0.8, num_queries)
    found = []
    for name, more in (("base", 0.0), ("other", ahead), ("raw", -0.1), ("rawer", -0.15)):
        for seed in seeds:
            moved = luck * (seed - 1) * (1 if name == "other" else -1) if "raw" not in name else 0.0
            own = queries + more + moved + generator.normal(0, 0.01, num_queries) * ("raw" not in name)
            found.append(result(name, seed, own.tolist()))
    return found


def rows(study, runs, **changes):
    report = make_report(study(variants=VARIANTS, **changes), runs)
    return {row.variant: row for row in report.rows}, markdown(report)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_under_three_trainings_there_is_a_difference_and_no_verdict(study, seeds):
    found, text = rows(study, results(seeds), seeds=list(seeds))
    assert found["other"].verdict == "no verdict"
    effect = found["other"].effect
    assert effect.difference.value == pytest.approx(0.1, abs=0.01)
    assert (effect.p, effect.p_holm, effect.detectable) == (None, None, None)
    assert found["raw"].verdict == "no verdict"  # compared with a training
    assert found["rawer"].verdict == "worse"  # neither is trained: queries are all there is
    assert f"- {len(seeds)} training(s) of a variant: another seed moves a score" in text
    assert "So there are differences and no verdict." in text


def test_three_trainings_that_agree_give_one(study):
    found, text = rows(study, results(SEEDS), seeds=list(SEEDS))
    assert [found[name].verdict for name in VARIANTS] == ["reference", "better", "worse", "worse"]
    assert "over queries and trainings, the others over queries" in text
    assert "training(s) of a variant" not in text


def test_trainings_that_differ_by_chance_as_much_as_the_variants_do_not(study):
    found, _ = rows(study, results(SEEDS, luck=0.08), seeds=list(SEEDS))
    assert found["other"].verdict == "not distinguishable"
    difference = found["other"].effect.difference
    assert difference.low < 0 < difference.value
    assert found["other"].effect.detectable > 0.2


def test_a_spread_that_was_measured_elsewhere_stands_in_for_trainings(study):
    found, text = rows(study, results((0,)), seeds=[0], training_spread=SPREAD)
    assert found["other"].verdict == "better"
    assert "(spread 0.002 by 6 seeds of another study)" in text
    wide, _ = rows(study, results((0,)), seeds=[0], training_spread={**SPREAD, "deviation": 0.09})
    assert wide["other"].verdict == "not distinguishable"
    with pytest.raises(InputError, match=r"training_spread\.seeds"):
        study(training_spread={**SPREAD, "seeds": 2})


def test_what_would_have_been_seen_is_said_after_correction(study):
    few, _ = rows(study, [r for r in results(SEEDS) if r.variant in {"base", "other"}], seeds=list(SEEDS))
    all_of_them, _ = rows(study, results(SEEDS), seeds=list(SEEDS))
    assert all_of_them["other"].effect.detectable > 1.1 * few["other"].effect.detectable


def test_variants_that_cannot_be_told_apart_are_grouped(study):
    generator = np.random.default_rng(1)
    queries = generator.uniform(0.2, 0.6, 100)
    places = {"base": 0.3, "other": 0.295, "third": 0.15, "fourth": 0.0}

    def value(name):
        return (queries + places[name] + generator.normal(0, 0.05, 100)).tolist()

    runs = [result(name, seed, value(name)) for name in places for seed in SEEDS]
    asked = study(variants={name: {} for name in places}, seeds=list(SEEDS))
    found = make_report(asked, runs)
    assert (found.ordering.num_pairs, found.ordering.num_close, found.ordering.num_unjudged) == (6, 1, 0)
    assert [set(group) for group in found.ordering.groups] == [{"base", "other"}]
    text = markdown(found)
    assert "Of 6 pairs of variants 6 are judged, and 1 is too close to order. Not distinguishable: " in text
    few = make_report(asked, [run for run in runs if run.seed < 2])
    assert (few.ordering.num_unjudged, few.ordering.groups) == (6, ())
    assert "Of 6 pairs of variants 0 are judged, and 0 are too close to order." in markdown(few)


def test_groups_overlap_where_closeness_is_not_transitive():
    names = ("a", "b", "c", "d", "e")
    assert _groups(names, {("a", "b"), ("b", "c")}) == (("a", "b"), ("b", "c"))
    assert _groups(names, {("a", "b"), ("b", "c"), ("a", "c"), ("d", "e")}) == (("a", "b", "c"), ("d", "e"))
    assert _groups(names, set()) == ()
