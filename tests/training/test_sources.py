"""Sources of a recipe: what is read, left out, cleaned and taken, each counted."""

import gzip
import hashlib
import json

import pytest

from slimvec.errors import InputError
from slimvec.training.batches.sources import check_sources, read_sources, source_numbers
from slimvec.training.recipe import Source


def write(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def test_sources_are_read_in_order_and_described(tmp_path):
    a = write(tmp_path / "a.jsonl", [{"query": f"question {i}", "positive": f"answer {i}"} for i in range(5)])
    b = write(tmp_path / "b.jsonl", [{"query": "own task", "positive": "kept", "task": "mine"}] * 2)
    sources = (Source(path=a, limit=3, license="CC0-1.0"), Source(path=b, task="other", weight=2))
    records, held = read_sources(sources, seed=1)
    assert [record.source for record in records] == ["a"] * 3 + ["b"] * 2
    assert [record.task for record in records] == [None] * 3 + ["mine"] * 2
    assert source_numbers(held).tolist() == [0, 0, 0, 1, 1]
    assert held[0].model_dump() == {
        "path": str(a),
        "sha256": hashlib.sha256(a.read_bytes()).hexdigest(),
        "passages_sha256": None,
        "license": "CC0-1.0",
        "weight": 1.0,
        "num_records": 5,
        "skipped": {},
        "unread": (),
        "dropped": {},
        "removed": {},
        "num_merged": 0,
        "num_used": 3,
    }


def test_bad_rows_are_an_error_or_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"query": "q", "positive": "d"}, "{broken\n", {"query": "no positive"}])
    with pytest.raises(InputError, match=r"a\.jsonl:2"):
        read_sources([Source(path=path)], seed=0)
    records, (held,) = read_sources([Source(path=path, on_bad="skip")], seed=0)
    assert len(records) == held.num_records == held.num_used == 1
    assert held.skipped == {"fields": 1, "json": 1}


def test_ids_are_looked_up_in_passages(tmp_path):
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": str(i), "text": f"passage {i}"}) + "\n" for i in range(3))
    path = write(tmp_path / "a.jsonl", [{"query": "q", "positive_ids": ["1"], "negative_ids": ["0", "2"]}])
    source = Source(path=path, passages=tmp_path / "p.jsonl.gz")
    (record,), (held,) = read_sources([source], seed=0)
    assert (record.positives, record.negatives) == (("passage 1",), ("passage 0", "passage 2"))
    assert held.passages_sha256 == hashlib.sha256((tmp_path / "p.jsonl.gz").read_bytes()).hexdigest()


def test_cleaning_drops_takes_out_and_counts(tmp_path):
    rows = [
        {"query": "a question of words", "positive": "an answer in words"},
        {"query": "a question of words", "positive": "an answer in words"},
        {"query": "?", "positive": "an answer to nothing"},
        {"query": "another one", "positives": ["some other answer", "!"]},
    ]
    source = Source(path=write(tmp_path / "a.jsonl", rows), cleaning={"near_duplicates": None})
    records, (held,) = read_sources([source], seed=0)
    assert [record.positives for record in records] == [("an answer in words",), ("some other answer",)]
    assert held.dropped == {"exact_duplicate": 1, "empty": 1}
    assert held.removed == {"empty": 1}
    assert (held.num_records, held.num_used) == (4, 2)


def test_a_source_of_which_cleaning_leaves_nothing(tmp_path):
    source = Source(path=write(tmp_path / "a.jsonl", [{"query": "?", "positive": "d"}]), cleaning={})
    with pytest.raises(InputError, match=r"cleaning leaves none of the 1 records of .*a\.jsonl \(empty 1\)"):
        read_sources([source], seed=0)


def test_files_are_asked_for_beforehand_and_hub_datasets_are_not(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"query": "q", "positive": "d"}])
    check_sources([Source(path=path), Source(path="hf:owner/name")])
    with pytest.raises(InputError, match=r"none\.jsonl"):
        check_sources([Source(path=tmp_path / "none.jsonl")])
    with pytest.raises(InputError, match=r"p\.jsonl"):
        check_sources([Source(path=path, passages=tmp_path / "p.jsonl")])


def test_class_examples_become_pairs_of_a_class(tmp_path):
    rows = [{"text": f"{label} text {i}", "label": label} for label in ("red", "blue") for i in range(3)]
    odd = [{"text": f"odd {i}", "label": "oos"} for i in range(2)]
    path = write(tmp_path / "a.jsonl", [*rows, {"text": "alone", "label": "green"}, rows[0], *odd])
    source = Source(path=path, kind="classes", task="colours", skip=("oos",))
    records, (held,) = read_sources([source], seed=0)
    assert len(records) == held.num_used == 6
    for record in records:
        colour = record.query.split()[0]
        assert (record.task, record.group) == ("colours", colour)
        assert record.positives[0].startswith(colour)
        assert not any(text.startswith(colour) for text in record.negatives)
    assert held.skipped == {"single": 1, "repeated": 1, "label": 2}


def test_graded_pairs_bring_their_grades(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"s1": "a b", "s2": "a c", "score": 2}, {"s1": "d", "s2": "e", "score": 4}])
    records, _ = read_sources([Source(path=path, kind="graded", grades=(0, 4))], seed=0)
    assert [record.scores for record in records] == [(0.5,), (1.0,)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grades": (0, 1)}, "grades belong to kind graded, and the kind is pairs"),
        ({"kind": "graded", "grades": (5, 0)}, "must be the lowest, then the highest"),
        ({"skip": ("oos",)}, "skip belongs to kind classes, and the kind is pairs"),
        ({"kind": "classes", "on_bad": "skip"}, "on_bad skip goes with kind pairs only, and the kind is classes"),
        ({"kind": "graded", "passages": "p.jsonl"}, "passages p.jsonl goes with kind pairs only"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ValueError, match=message):
        Source(path="a.jsonl", **settings)
