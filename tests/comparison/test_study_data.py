"""A study reads its data before it trains: what does not fit a recipe, and text that it trains on and scores."""

import json

import pytest

from slimvec.comparison import study_data
from slimvec.comparison.layout import markdown
from slimvec.comparison.plan import Material
from slimvec.comparison.study_data import examine_data
from slimvec.comparison.study_report import make_report
from slimvec.errors import InputError
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
    data_found = examine_data(asked, Material.read(asked, data).datasets)
    return asked, None if data_found is None else data_found.shared_text


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
    rows = [{"query": "more?", "positive": "on files"}, {"query": "more still?", "positive": "nothing"}]
    (leaking / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    more = {"base": {}, "more": {"set": ["data=[{path: '${data}/more.jsonl'}]"]}}
    _, shared = found(study, leaking, variants=more)
    assert shared.num_records == 15
    _, none = found(study, leaking, variants={"base": {"trained": False}, "raw": {"trained": False}})
    assert none is None


def test_records_that_any_seed_chooses_are_looked_at(study, leaking):
    limited = {**STUDY["recipe"], "data": [{"path": "${data}/pairs.jsonl", "limit": 6}]}
    _, one = found(study, leaking, recipe=limited, seeds=[0])
    _, many = found(study, leaking, recipe=limited, seeds=[0, 1, 2, 3])
    assert one.num_records == 6
    assert many.num_records > 6


def test_what_was_found_is_kept_until_the_data_changes(study, leaking, monkeypatch):
    _, first = found(study, leaking)
    overlap = study_data.training_overlap
    monkeypatch.setattr(study_data, "training_overlap", None)
    _, again = found(study, leaking, variants={"raw": {"trained": False}, "base": {"note": "another"}})
    assert again == first
    monkeypatch.setattr(study_data, "training_overlap", overlap)
    with (leaking / "pairs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"query": "which file?", "positive": "x"}) + "\n")
    _, changed = found(study, leaking)
    assert (changed.num_records, changed.num_shared) == (14, 2)
    (leaking / "words/queries.jsonl").write_text(
        "".join(f'{{"id": "q-{w}", "text": "a {w}"}}\n' for w in ("file", "tree"))
    )
    _, rescored = found(study, leaking)
    assert rescored.sets[0].num_met == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("validation={count: 50}", "validation leaves 0 records to train on"),
        ("data=[{path: '${data}/none.jsonl'}]", "none.jsonl does not exist; expected a file; check the path"),
    ],
)
def test_data_that_does_not_fit_a_variant_is_refused_and_the_variant_named(study, data, setting, message):
    with pytest.raises(InputError) as caught:
        found(study, data, variants={"base": {}, "odd": {"set": [setting]}})
    assert str(caught.value).startswith("variant odd of study tiny: ")
    assert message in str(caught.value)
