from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slimvec.data.cleaning.cleaner import clean
from slimvec.data.cleaning.settings import Cleaning, LanguageRule
from slimvec.data.records import Record

LONG = "A museum of clocks opens its doors every morning in the old town"
GERMAN = "Das Museum öffnet um neun und ist montags geschlossen."
ENGLISH = "The museum opens at nine and is closed on Mondays."
OFF = {
    "min_query_chars": None, "min_document_chars": None, "min_letters": None, "max_markup": None,
    "stock_phrases": False, "max_repeated_lines": None, "copies": False, "exact_duplicates": False,
    "near_duplicates": None,
}  # fmt: skip


def run(records, **settings):
    kept, tally = clean(records, Cleaning(**settings))
    return list(kept), tally.report()


def pair(query, *positives, **fields):
    return Record(query, positives, **fields)


@pytest.mark.parametrize(
    ("query", "positive", "settings", "rule"),
    [
        ("…", LONG, {}, "empty"),
        (LONG, "\u200b?!", {}, "empty"),
        ("x", LONG, {}, "too_short"),
        (LONG, "y", {}, "too_short"),
        (LONG, "one two", {"min_document_words": 3}, "too_short"),
        (LONG, "時計の", {"min_document_words": 4}, "too_short"),
        (LONG, ENGLISH, {"max_query_chars": 20}, "too_long"),
        (LONG, ENGLISH, {"max_document_words": 9}, "too_long"),
        ("clocks", "=== --- !!! ab", {}, "few_letters"),
        ("clocks", "<p>a<br/>b</p>&nbsp;<b>cd</b>", {"min_letters": None}, "markup"),
        ("clocks", "This site uses cookies.\nAccept", {}, "stock_phrases"),
        ("clocks", "Lorem ipsum dolor sit amet", {}, "stock_phrases"),
        ("clocks", "buy a clock\nbuy a clock\nbuy a clock\nor two", {}, "repeated_lines"),
        ("Clocks  there", "clocks there", {}, "copy"),
        (LONG, GERMAN, {"language": {"check": "drop", "allowed": ["en"], "text": "document"}}, "language"),
    ],
)
def test_each_rule_drops_and_is_counted(query, positive, settings, rule):
    kept, report = run([pair(query, positive, source="s")], **settings)
    assert kept == []
    (source,) = report.sources
    assert (source.source, source.num_read, source.num_kept, source.dropped) == ("s", 1, 0, {rule: 1})
    assert [(example.rule, example.source) for example in report.examples] == [(rule, "s")]


@pytest.mark.parametrize(
    ("query", "positive"),
    [
        ("press it", "the <Enter> key"),
        ("less than", "if a < b and c > d, swap a and b"),
        ("what is lorem ipsum", "filler used by typesetters"),
        ("privacy", "A page on how the law came about, of which one line\nnames a privacy policy\nand that is all"),
        ("verse", "row\nyour boat\nrow"),
        ("茶", "a drink"),
    ],
)  # fmt: skip
def test_texts_that_only_look_bad_stay(query, positive):
    kept, report = run([pair(query, positive)], min_query_chars=1)
    assert len(kept) == 1
    assert report.dropped == {}


def test_an_unfit_text_leaves_its_record_and_takes_its_score_along():
    record = pair(LONG, "?!", ENGLISH, negatives=("..", GERMAN), scores=(1.0, 0.9, 0.2, 0.1), source="s")
    kept, report = run([record])
    assert kept == [pair(LONG, ENGLISH, negatives=(GERMAN,), scores=(0.9, 0.1), source="s")]
    assert report.sources[0].removed == {"empty": 2}
    assert report.sources[0].dropped == {}


def test_exact_duplicates_go_whatever_their_source_space_and_capitals():
    records = [pair("a b", "c", "d", source="s"), pair("A  b", "D", "C", source="t"), pair("a b", "c", source="t")]
    kept, report = run(records, **{**OFF, "exact_duplicates": True})
    assert kept == [records[0], records[2]]
    assert [(source.source, source.dropped) for source in report.sources] == [("s", {}), ("t", {"exact_duplicate": 1})]


def test_near_duplicates_need_most_of_their_words_in_common():
    text = " ".join(f"word{number}" for number in range(60))
    records = [
        pair("q", text),
        pair("q", text + " more"),
        pair("q", text.replace("word30", "other").replace("word9", "x")),
    ]
    kept, report = run(records, **{**OFF, "near_duplicates": 0.9})
    assert kept == [records[0], records[2]]
    assert report.dropped == {"near_duplicate": 1}


def test_near_duplicates_in_a_script_without_spaces():
    text = "時計博物館は毎朝九時に開館し月曜日は休館です館内では古い時計の修理も見学できます"
    kept, _ = run([pair("時計", text), pair("時計", text + "。よ")], near_duplicates=0.8)
    assert len(kept) == 1


def test_lines_of_many_records_are_boilerplate_once_they_have_been_seen_often_enough():
    records = [pair(f"query {n}", f"All rights reserved by us\ntext {n}", source="s") for n in range(5)]
    records.append(pair("other source", "All rights reserved by us", source="t"))
    kept, report = run(records, max_line_records=3, **{**OFF, "exact_duplicates": True})
    assert [record.query for record in kept] == ["query 0", "query 1", "query 2", "other source"]
    assert report.dropped == {"common_lines": 2}


def test_merging_joins_the_answers_of_a_query():
    records = [
        pair("q", "a", negatives=("b", "c"), scores=(0.9, 0.5, 0.1), titles=("A",)),
        pair("other", "z"),
        pair("Q", "b", "a", negatives=("d",), scores=(0.8, 0.7, 0.2), titles=("B", "A")),
        pair("q", "e"),
    ]
    kept, report = run(records, same_query="merge", **OFF)
    assert kept == [
        pair("q", "a", "b", negatives=("c", "d"), scores=(0.9, 0.5, 0.1, 0.2), titles=("A", "B")),
        pair("other", "z"),
        pair("q", "e"),  # without scores it is not of a kind with the first
    ]
    assert report.sources[0].num_merged == 1
    assert report.num_kept == 3


@pytest.mark.parametrize(
    ("query", "positive", "text", "kept"),
    [
        (ENGLISH, GERMAN, "either", True),
        (ENGLISH, GERMAN, "query", False),
        (ENGLISH, GERMAN, "document", True),
        (ENGLISH, ENGLISH + " And so on.", "either", False),
        ("short", "too", "either", True),
    ],
)
def test_which_text_must_be_in_the_declared_language(query, positive, text, kept):
    records, report = run([pair(query, positive, language="de")], language=LanguageRule(check="drop", text=text))
    assert bool(records) is kept
    assert report.sources[0].num_other_language == (not kept)


def test_languages_may_only_be_counted_and_abstentions_are():
    records = [pair(ENGLISH, GERMAN, language="fr"), pair(ENGLISH, GERMAN, language="bm"), pair("a b", "c d")]
    kept, report = run(records, language=LanguageRule(check="count"), near_duplicates=None, exact_duplicates=False)
    assert kept == records
    assert (report.sources[0].num_other_language, report.sources[0].num_unjudged) == (1, 2)
    assert report.unknown_languages == {"bm": 1}


TEXTS = st.text("ab .<\n茶", min_size=1, max_size=12).filter(str.strip)
RECORDS = st.builds(
    lambda query, positives, source: Record(query, tuple(dict.fromkeys(positives)), source=source),
    TEXTS, st.lists(TEXTS, min_size=1, max_size=3), st.sampled_from("st"),
)  # fmt: skip


@given(st.lists(RECORDS, max_size=20), st.sampled_from(["keep", "merge"]))
def test_every_record_is_kept_merged_or_dropped_and_cleaning_twice_drops_nothing_more(records, same_query):
    settings = {"same_query": same_query, "max_line_records": None}
    kept, report = run(records, **settings)
    for source in report.sources:
        assert source.num_read == sum(record.source == source.source for record in records)
        assert source.num_kept == sum(record.source == source.source for record in kept)
        assert source.num_read == source.num_kept + source.num_merged + sum(source.dropped.values())
    assert {record.query for record in kept} <= {record.query for record in records}
    if same_query == "keep":
        again, second = run(kept, **settings)
        assert again == kept
        assert second.dropped == {}


def is_written(record):
    return all(set("ab<茶") & set(text) for text in (record.query, *record.positives))


@given(st.lists(RECORDS.filter(is_written), max_size=10))
def test_without_rules_nothing_changes(records):
    assert run(records, **OFF)[0] == records


def test_exact_duplicates_equal_comparing_all_pairs():
    records = [pair("q" * (n % 3 + 1), "p" * (n % 4 + 1)) for n in range(24)]
    kept, report = run(records, **{**OFF, "exact_duplicates": True})
    assert Counter((r.query, r.positives) for r in kept) == Counter({(r.query, r.positives) for r in records})
    assert report.num_kept == 12


def test_settings_that_contradict_each_other():
    with pytest.raises(ValidationError, match="min_query_chars 9 is above max_query_chars 3"):
        Cleaning(min_query_chars=9, max_query_chars=3)
    with pytest.raises(ValidationError, match="language has settings and its check is off"):
        Cleaning(language=LanguageRule(allowed=("en",)))
