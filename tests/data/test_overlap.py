"""Text on both sides of training and evaluation: counted from both, and refused above a share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.contamination import (
    EvaluationIndex,
    EvaluationText,
    ScoredTexts,
    find_contamination,
    training_overlap,
)
from slimvec.data.contamination import runs as runs_module
from slimvec.data.records import Record
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.errors import InputError

LONG = "the quick brown fox jumps over the lazy dog while seven green parrots watch from the old oak tree"


def retrieval_set(num=10):
    documents = [
        Document(f"d{n}", f"document number {n} says something of its own about topic {n * n}") for n in range(num)
    ]
    documents[3] = Document("d3", LONG, title="A title")
    queries = tuple(Query(f"q{n}", f"what of topic {n * n}?") for n in range(num))
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(num)} | {"q4": {"d3": 1, "d4": 1}}
    return RetrievalSet("scored", tuple(documents), queries, qrels)


def records(*more):
    return [Record(f"question {n}", (f"an answer, number {n}",)) for n in range(40)] + list(more)


def overlap(*more):
    return training_overlap(records(*more), [ScoredTexts.of_set(retrieval_set())])


def test_nothing_in_common_is_nothing():
    found = overlap()
    assert (found.num_records, found.num_shared, found.share) == (40, 0, 0.0)
    assert found.sets[0].num_met == 0
    found.check(0.0, setting="the limit")


def test_one_record_can_hold_the_answer_of_several_queries():
    found = overlap(Record("something else", (f"As they say, {LONG}, and so on.",)))
    assert (found.num_records, found.num_shared) == (41, 1)
    assert (found.sets[0].num_queries, found.sets[0].num_met) == (10, 2)  # q3 and q4 are answered by it
    assert found.share == 0.2
    with pytest.raises(InputError) as caught:
        found.check(0.1, setting="evaluation.max_shared")
    assert str(caught.value) == (
        "1 of 41 training records (2.4%) share text with what is scored, and training meets 2 of 10 queries of scored; "
        "expected a share of at most 10% of the records and of each set's queries (evaluation.max_shared); "
        "leave it out with `slimvec clean FILES --against SETS --output CLEANED`"
    )


def test_an_equal_query_is_met_and_equal_records_count_once():
    twice = Record("What of topic 49?", ("whatever",))
    found = overlap(twice, twice)
    assert (found.num_records, found.num_shared, found.sets[0].num_met) == (41, 1, 1)


def test_a_share_of_the_records_counts_where_no_query_is_met():
    spread = [Record(f"q {n}", (f"{n} " + LONG.replace("fox", f"fox{n % 2}"),)) for n in range(2)]
    unanswered = RetrievalSet(
        "scored", (Document("a", LONG), Document("b", "other")), (Query("q", "which?"),), {"q": {"b": 1}}
    )
    found = training_overlap(spread, [ScoredTexts.of_set(unanswered)])
    assert (found.sets[0].num_met, found.num_shared) == (0, 2)
    assert found.share == 1.0


def test_held_out_records_are_scored_texts_too():
    scored = ScoredTexts.of_records("held.jsonl", [Record("a?", (LONG,)), Record("b?", ("short",))])
    found = training_overlap(records(Record("c?", (LONG,))), [scored])
    assert (found.num_shared, found.sets[0].num_met, found.sets[0].num_queries) == (1, 1, 2)


PHRASE = " ".join(f"w{number}" for number in range(13))
PIECES = st.sampled_from([PHRASE, PHRASE.upper(), PHRASE.replace("w7", "x7"), "茶" * 40, "a b", "b", "?", "ไทย"])
TEXTS = st.lists(PIECES, min_size=1, max_size=3).map(" ".join)


def slow_overlap(records, scored):
    """Both sides asked text by text."""
    report = find_contamination(records, (text for part in scored for text in part.texts()))
    taught = (text for record in records for text in (record.query, *record.positives))
    index = EvaluationIndex(EvaluationText("training", "texts", text) for text in taught)
    met = [sum(any(map(index.matches, (query, *answers))) for query, answers in part.queries) for part in scored]
    return report.num_records, report.num_contaminated, met


@given(
    st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=14),
    st.lists(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=14), min_size=1, max_size=2),
    st.sampled_from([1, 30, 1 << 17]),
)
def test_the_counts_are_those_of_asking_text_by_text(pairs, sets, block):
    records = list(dict.fromkeys(Record(query, (answer,)) for query, answer in pairs))
    scored = [
        ScoredTexts.of_records(f"set {number}", [Record(query, (answer,)) for query, answer in rows])
        for number, rows in enumerate(sets)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "_BLOCK", block)
        found = training_overlap(records, scored)
    assert (found.num_records, found.num_shared, [part.num_met for part in found.sets]) == slow_overlap(records, scored)
