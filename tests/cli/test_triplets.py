"""`slimvec triplets`: records of word order from templates."""

import gzip
import json
from collections import Counter

from slimvec.cli.triplets import KEYS
from slimvec.data.readers import read_records


def test_triplets_are_written_as_records(slimvec):
    arguments = ("triplets", "--num", "60", "--language", "de", "--language", "en", "--seed", "4")
    found = slimvec(*arguments, "--kind", "cause", "--kind", "role swap", "--output", "order.jsonl.gz", "--json").json
    assert found == {
        "output": "order.jsonl.gz",
        "num_records": 60,
        "languages": ["en", "de"],
        "kinds": ["role swap", "cause"],
    }
    assert found.keys() == KEYS.keys()
    records = list(read_records("order.jsonl.gz"))
    assert Counter(record.language for record in records) == {"en": 30, "de": 30}
    with gzip.open("order.jsonl.gz", "rt", encoding="utf-8") as file:
        row = json.loads(next(file))
    assert row.keys() == {"query", "positives", "contrasts", "task", "language", "source"}
    assert row["task"] == "Given a sentence, find one that says the same"
    slimvec(*arguments, "--task", "sts", "--output", "again.jsonl", "--quiet")
    assert {record.task for record in read_records("again.jsonl")} == {"sts"}


def test_people_are_told_what_was_written(slimvec):
    outcome = slimvec("triplets", "--num", "8", "--output", "order.jsonl")
    assert outcome.out == "order.jsonl: 8 records in en\n"
    taken = slimvec("triplets", "--num", "8", "--output", "order.jsonl")
    assert (taken.code, taken.error) == (
        2,
        "error: output order.jsonl exists; expected a new path; pass --force to replace it",
    )


def test_what_there_is_not_is_refused_before_anything_is_written(slimvec, tmp_path):
    wrong = {
        ("--language", "bo"): "error: no templates in 'bo'; expected one of en, de, fr, es",
        ("--kind", "rhyme"): "error: kind 'rhyme'; expected one of role swap, direction, before and after, cause, "
        "comparison, number swap, negation",
        (
            "--num",
            "999999999",
        ): "error: 999,999,999 triplets of 7 kinds and languages; expected at most 709,564, which is "
        "all there are; ask for fewer, or for more kinds or languages",
    }
    for arguments, message in wrong.items():
        outcome = slimvec("triplets", *arguments, "--output", "order.jsonl")
        assert (outcome.code, outcome.error) == (2, message)
    assert list(tmp_path.iterdir()) == []


RECIPE = """\
base: {{source: {model}}}
data:
  - path: order.jsonl.gz
    order_negatives: {{share: 0.5, of: query}}
tuning: {{rank: 2, alpha: 4}}
loss: {{margin: 0.1}}
batch: {{pairs: 8, max_query_tokens: 200, max_document_tokens: 200}}
model: {{max_tokens: 200}}
run: {{steps: 3, dtype: fp32}}
"""


def test_triplets_are_trained_on(slimvec, model, tmp_path):
    slimvec("triplets", "--num", "40", "--output", "order.jsonl.gz", "--quiet")
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(model=json.dumps(str(model))), encoding="utf-8")
    result = slimvec("train", "recipe.yaml", "--output", "out", "--json").json
    assert result["steps"] == 3
    card = (tmp_path / "out" / "data_card.json").read_text(encoding="utf-8")
    assert json.loads(card)["sources"][0]["num_negatives"] == 40
