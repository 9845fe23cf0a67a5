"""What a quickstart chooses for a machine of some speed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.quickstart.pace import MIN_DOCUMENTS, Speed, choose_pace, minutes_for, scored_part, whole_pace
from slimvec.quickstart.questions import ANSWERS

LENGTHS, QUERIES = [110] * 1000, [15] * 1000


def speed(embedded, trained):
    return Speed(embedded, trained, LENGTHS, QUERIES)


def test_a_fast_machine_does_all_of_it():
    pace = choose_pace(speed(5000, 1500), 420)
    assert pace == whole_pace(speed(5000, 1500))
    assert (pace.num_documents, pace.cut, pace.pairs, pace.training_seconds) == (1000, None, 64, 240)


def test_a_slow_machine_scores_and_trains_less_in_the_same_time():
    pace = choose_pace(speed(600, 250), 400)
    assert 300 <= pace.num_documents < 1000
    assert pace.steps >= 35
    assert pace.seconds <= 400


def test_a_very_slow_machine_still_scores_three_hundred_documents():
    pace = choose_pace(speed(20, 5), 400)
    assert (pace.num_documents, pace.cut, pace.training_seconds, pace.steps) == (MIN_DOCUMENTS, 64, 45, 1)
    assert pace.seconds > 400


@given(st.floats(1, 1e5), st.floats(0.1, 1e5), st.floats(-100, 3600))
def test_never_below_the_least_and_in_time_where_that_is_possible(embedded, trained, seconds):
    machine = speed(embedded, trained)
    pace = choose_pace(machine, seconds)
    assert pace.num_documents >= MIN_DOCUMENTS
    assert 45 <= pace.training_seconds <= 240
    assert pace.steps >= 1
    least = choose_pace(machine, 0)
    if least.seconds * 2.5 <= seconds:
        assert pace.seconds <= seconds
    assert whole_pace(machine).num_documents == 1000


@pytest.mark.parametrize("embedded", [20, 300, 600, 5000])
def test_what_more_time_would_do_is_done_when_it_is_given_and_not_with_a_minute_less(embedded):
    machine = speed(embedded, 250)
    whole = whole_pace(machine)
    minutes = minutes_for(whole, 100)
    assert choose_pace(machine, 60 * minutes - 100) == whole
    assert choose_pace(machine, 60 * (minutes - 1) - 100) != whole


def test_few_documents_are_all_there_are():
    assert choose_pace(Speed(1000, 1000, [50] * 8, [5] * 8), 300).num_documents == 8


@pytest.mark.parametrize("cut", [None, 10])
def test_the_part_that_is_scored_keeps_answers_and_cuts_between_words(cut):
    answer = min(ANSWERS)
    names = [*(f"d{number}" for number in range(5)), answer]
    text = " ".join(f"word{number}" for number in range(20))
    dataset = RetrievalSet(
        "x",
        tuple(Document(name, text) for name in names),
        tuple(Query(name, f"query {name}") for name in names),
        {name: {name: 1} for name in names},
    )
    pace = replace(whole_pace(speed(1000, 1000)), num_documents=3, cut=cut)
    part = scored_part(dataset, pace, [20] * 6)
    assert {document.id for document in part.documents} == {"d0", "d1", answer} == {query.id for query in part.queries}
    for document in part.documents:
        assert text.startswith(document.text)
        assert len(document.text.split()) == (20 if cut is None else 10)
