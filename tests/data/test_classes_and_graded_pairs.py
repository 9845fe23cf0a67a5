import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.classes import ClassExample, class_records, read_class_records
from slimvec.data.graded_pairs import read_graded_pairs
from slimvec.errors import InputError


def write(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@given(
    st.lists(st.integers(2, 5), min_size=2, max_size=6),
    st.integers(0, 3),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
def test_every_example_is_a_query_once_and_a_positive_once(sizes, seed, num_negatives, random):
    examples = [
        ClassExample(f"{label} {number}", f"c{label}") for label, size in enumerate(sizes) for number in range(size)
    ]
    random.shuffle(examples)
    made = class_records(examples, seed=seed, num_negatives=num_negatives)
    label_of = {example.text: example.label for example in examples}
    assert [record.query for record in made] == [example.text for example in examples]
    assert Counter(record.positives[0] for record in made) == Counter(list(label_of))
    for record in made:
        label = label_of[record.query]
        assert record.positives[0] != record.query
        assert record.group == label
        assert label_of[record.positives[0]] == label
        assert len(record.negatives) == min(num_negatives, sum(sizes) - sizes[int(label[1:])])
        drawn = [label_of[text] for text in record.negatives]
        assert label not in drawn
        assert len(set(drawn)) == min(len(drawn), len(sizes) - 1)  # as many classes as there are
    assert made.records == class_records(examples, seed=seed, num_negatives=num_negatives).records


def test_another_seed_gives_other_records():
    examples = [ClassExample(f"{label} {number}", label) for label in "abc" for number in range(9)]
    assert class_records(examples, seed=0).records != class_records(examples, seed=1).records


def test_what_is_left_out_is_counted():
    texts = ["a1 a", "a2 a", "A1 a", "b1 b", "b2 b", "both a", "both b", "c1 c", "o1 oos", "o2 oos"]
    made = class_records([ClassExample(*text.split()) for text in texts], skip=["oos"], num_negatives=9)
    assert [record.query for record in made] == ["a1", "a2", "b1", "b2"]
    assert set(made.records[0].negatives) == {"b1", "b2"}
    assert (made.num_examples, made.num_classes) == (10, 2)
    assert (made.num_single, made.num_repeated, made.num_ambiguous, made.num_skipped) == (1, 1, 2, 2)
    with pytest.raises(InputError, match="no example has the label 'OOS', to be skipped; expected a label that"):
        class_records([ClassExample(*text.split()) for text in texts], skip=["OOS"])


def test_class_files(tmp_path):
    rows = [{"text": f"{label} {number}", "label": label, "lang": "en"} for label in (0, 1) for number in range(2)]
    path = write(tmp_path / "bank" / "train.jsonl", *rows)
    made = read_class_records(path, task="intent", num_negatives=1)
    assert len(made) == 4
    first = made.records[0]
    assert (first.query, first.positives, first.language, first.source, first.task) == (
        "0 0", ("0 1",), "en", "bank", "intent",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"train.jsonl:1: intent is a NoneType"):
        read_class_records(path, label="intent")
    with pytest.raises(InputError, match="1 classes with two different examples or more; expected at least two such"):
        read_class_records(write(tmp_path / "one.jsonl", *rows[:3]))


def test_graded_pairs_are_records_with_a_score_from_0_to_1(tmp_path):
    path = write(
        tmp_path / "sts" / "train.jsonl",
        {"s1": "a", "s2": "b", "score": 2.5, "lang": "de"},
        {"sentence1": "c", "sentence2": "c", "score": 5},
    )
    first, second = read_graded_pairs(path, task="sts")
    assert (first.query, first.positives, first.scores, first.language, first.source, first.task) == (
        "a", ("b",), (0.5,), "de", "sts", "sts",
    )  # fmt: skip
    assert (second.query, second.positives, second.scores) == ("c", ("c",), (1.0,))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"s1": "a", "s2": "b", "score": 7}, r"sts.jsonl:1: score 7; expected between 0 and 5; name the ends"),
        ({"s1": "a", "s2": "b", "score": "high"}, r"sts.jsonl:1: score 'high'; expected a number"),
        ({"s1": "a", "score": 1}, r"sts.jsonl:1: s2 is a NoneType"),
    ],
)
def test_graded_pairs_that_cannot_be_read(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        list(read_graded_pairs(write(tmp_path / "sts.jsonl", row)))


def test_graded_pairs_need_a_scale_and_rows(tmp_path):
    with pytest.raises(InputError, match=r"a scale from 5 to 0; expected low below high"):
        next(read_graded_pairs(tmp_path / "sts.jsonl", low=5, high=0))
    with pytest.raises(InputError, match="has no rows"):
        list(read_graded_pairs(write(tmp_path / "sts.jsonl")))
