import random

import pytest

from slimvec.data.card import (
    DataCard,
    License,
    find_license,
    make_data_card,
    render_markdown,
    summarise_source,
    write_data_card,
)
from slimvec.data.card.summary import records_sha256
from slimvec.data.contamination import EvaluationText, find_contamination
from slimvec.data.records import Record
from slimvec.errors import InputError

RECORDS = [
    Record("a query", ("an answer", "another"), ("wrong",), language="en", task="search", source="s"),
    Record("A  query", ("Another", "an answer"), language="en", source="s"),
    Record("eine Frage", ("eine Antwort" * 10,), language="de", source="s"),
]


def summary(records=RECORDS, **changes):
    given = {"name": "s", "path": "data/s.jsonl", "sha256": "ab" * 32, "license": License(), **changes}
    return summarise_source(records, **given)


def test_a_source_is_measured():
    made = summary(count_tokens=lambda texts: [len(text.split()) for text in texts])
    assert (made.num_read, made.num_used, made.num_positives, made.num_negatives) == (3, 3, 5, 1)
    assert made.num_repeated == 1
    assert made.languages == {"en": 2, "de": 1}
    assert made.tasks == {"": 2, "search": 1}
    assert made.query_chars.model_dump() == {
        "num_texts": 3, "shortest": 7, "median": 8, "p90": 10, "p99": 10, "longest": 10,
    }  # fmt: skip
    assert (made.document_chars.shortest, made.document_chars.longest) == (5, 120)
    assert made.query_tokens.median == 2
    assert summary().query_tokens is None


def test_a_file_of_several_sources_is_named_after_itself_and_lists_them():
    more = [Record("x", ("y",), source="t"), *RECORDS, Record("z", ("w",))]
    made = summary(more, name="mixed.jsonl")
    assert (made.name, made.parts) == ("mixed.jsonl", {"s": 3, "t": 1, "": 1})
    assert (summary(name="mixed.jsonl").name, summary(name="mixed.jsonl").parts) == ("s", {"s": 3})
    page = render_markdown(make_data_card([made, summary()]))
    assert "| mixed.jsonl | s | 3 | 60.0% |" in page
    assert "| mixed.jsonl | not stated | 1 | 20.0% |" in page
    assert "Sources of files" not in render_markdown(make_data_card([summary()]))


def test_the_hash_of_records_is_of_what_they_hold_and_not_of_their_order():
    digest = records_sha256(RECORDS)
    assert digest == records_sha256(random.Random(0).sample(RECORDS, 3))
    assert digest != records_sha256(RECORDS[:2])
    assert digest != records_sha256(
        [*RECORDS[:2], Record("eine Frage", ("andere Antwort",), language="de", source="s")]
    )
    assert records_sha256([RECORDS[0]] * 2) not in (digest, records_sha256(RECORDS[:1]))


def test_the_card_adds_its_sources_up():
    seen = set()
    first, second = summary(seen=seen), summary(RECORDS[:1], seen=seen)
    card = make_data_card([first, second])
    assert (card.num_records, card.num_repeated) == (4, 2)
    assert card.languages == {"en": 3, "de": 1}
    assert card.records_sha256 == records_sha256([*RECORDS, RECORDS[0]])
    with pytest.raises(InputError, match="no source; expected at least one"):
        make_data_card([])


def test_the_card_is_written_for_machines_and_people(tmp_path):
    report = find_contamination(RECORDS, [EvaluationText("quiz", "queries", "A query?")])
    card = make_data_card(
        [summary(license=License(text="CC BY | 4.0", stated_by="README.md"), dropped={"empty": 2}), summary()],
        contamination=report,
    )
    write_data_card(card, tmp_path)
    assert DataCard.model_validate_json((tmp_path / "data_card.json").read_bytes()) == card
    page = (tmp_path / "data_card.md").read_text(encoding="utf-8")
    assert page == render_markdown(card)
    for line in (
        "| s | CC BY \\| 4.0 | README.md |",
        "| s | unknown | nobody |",
        "| s | none | empty 2 | 0 |",
        "| s | none | not cleaned | 0 |",
        "| en | 4 | 66.7% |",
        "| s | quiz | queries | 2 | 0 | 0 | 0 | 0 |",
        "| s | queries, characters | 3 | 7 | 8 | 10 | 10 | 10 |",
    ):
        assert line in page.splitlines()
    assert "Not checked." in render_markdown(make_data_card([summary()]))


@pytest.mark.parametrize(
    ("name", "text", "stated"),
    [
        ("README.md", "# Data\n\n- **Licence:** CC BY 4.0\n", "CC BY 4.0"),
        ("README.md", "---\nlicense: mit\n---\n", "mit"),
        ("README", "Some words\nLicense: Apache 2.0 (code)\n", "Apache 2.0 (code)"),
        ("LICENSE", "\nMIT License\n\nCopyright\n", "MIT License"),
        ("README.md", "no word on it", None),
        ("other.md", "License: MIT", None),
    ],
)
def test_licences_are_read_from_the_folder_of_the_data(tmp_path, name, text, stated):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_license(tmp_path / "train.jsonl") == License(text=stated, stated_by=name if stated else "")
