"""A study looks for text that it trains on and scores, before it trains."""

import json

import pytest

from slimvec.comparison.layout import markdown
from slimvec.comparison.runs import read_sets
from slimvec.comparison.shared_text import study_overlap
from slimvec.comparison.study_report import make_report
from tests.comparison.conftest import STUDY
from tests.comparison.support import result


@pytest.fixture
def leaking(data):
    """Puts a scored query and a document with its title into the training data."""
    with (data / "pairs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"query": "Which TREE?", "positive": "on trees"}) + "\n")
    return data


def found(study, data, **changes):
    asked = study(evaluation={**STUDY["evaluation"], "max_queries": None, "max_documents": None}, **changes)
    return asked, study_overlap(asked, read_sets(asked, data))


def test_clean_data_shares_nothing(study, data):
    _, shared = found(study, data)
    assert (shared.num_records, shared.num_shared, shared.share) == (12, 0, 0)


def test_what_is_shared_is_counted_and_said(study, leaking):
    asked, shared = found(study, leaking)
    assert (shared.num_records, shared.num_shared) == (13, 1)
    assert (shared.sets[0].dataset, shared.sets[0].num_queries, shared.sets[0].num_met) == ("words", 8, 1)
    report = make_report(asked, [result("base", 0, [0.2, 0.5])], shared_text=shared)
    assert "1 of 13 training records (7.7%) share text with what is scored" in markdown(report)


def test_data_of_a_variant_counts_and_an_untrained_study_has_none(study, leaking):
    (leaking / "more.jsonl").write_text(json.dumps({"query": "more?", "positive": "on files"}) + "\n", encoding="utf-8")
    more = {"base": {}, "more": {"set": ["data=[{path: '${data}/more.jsonl'}]"]}}
    _, shared = found(study, leaking, variants=more)
    assert shared.num_records == 14
    _, none = found(study, leaking, variants={"base": {"trained": False}, "raw": {"trained": False}})
    assert none is None


def test_records_that_any_seed_chooses_are_looked_at(study, leaking):
    limited = {**STUDY["recipe"], "data": [{"path": "${data}/pairs.jsonl", "limit": 6}]}
    _, one = found(study, leaking, recipe=limited, seeds=[0])
    _, many = found(study, leaking, recipe=limited, seeds=[0, 1, 2, 3])
    assert one.num_records == 6
    assert many.num_records > 6
