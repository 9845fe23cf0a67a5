"""Texts with their words in another order."""

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.data.reordering import HEAD, move_words, reorder, shorten
from slimvec.data.reordering_kinds import Reordering
from slimvec.data.rewriting import add_order_negative
from slimvec.data.text_ids import text_id
from slimvec.ranking.words import split_tokens

SENTENCE = "Anna sold 3 boats before she met Peter in 1990."
EXCHANGES = [kind for kind in get_args(Reordering) if kind != "negation"]


def dice(seed=0):
    return np.random.default_rng(seed)


def outcomes(text, *kinds, num=40, **settings):
    return {reorder(text, kinds, dice(seed), **settings) for seed in range(num)}


def test_each_kind_does_what_its_name_says():
    assert outcomes(SENTENCE, "numbers") == {"Anna sold 1990 boats before she met Peter in 3."}
    assert outcomes(SENTENCE, "clauses") == {"She met Peter in 1990 before Anna sold 3 boats."}
    # Names are exchanged with names; the others are left alone where there are two.
    assert outcomes(SENTENCE, "words") == {"Peter sold 3 boats before she met Anna in 1990."}
    neighbours = outcomes(SENTENCE, "neighbours", num=200)
    assert "Sold Anna 3 boats before she met Peter in 1990." in neighbours
    assert "Anna sold 3 boats before she met Peter 1990 in." in neighbours
    assert len(neighbours) == 9
    assert len(outcomes(SENTENCE, "shuffle")) > 30


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The shop is open on Sunday.", "The shop is not open on Sunday."),
        ("The shop is not open on Sunday.", "The shop is open on Sunday."),
        ("They could have gone to the sea.", "They could not have gone to the sea."),
        ("The dog ran to the river.", None),
        ("Is the shop of the man here?", None),
        ("Het huis is nu van haar broer.", None),
    ],
)
def test_english_is_denied_by_rules(text, wanted):
    assert reorder(text, ["negation"], dice()) == wanted


def test_another_language_is_not_denied_in_english():
    assert reorder("The shop is open on Sunday.", ["negation"], dice(), language="de") is None
    assert reorder("Hij was a of in the.", ["negation"], dice(), language="nl") is None
    assert reorder("He was here today.", ["negation"], dice(), language="en-GB") == "He was not here today."


@pytest.mark.parametrize(
    "text",
    [
        "Cats and dogs.",
        "Three words only.",
        "We 我 们 在 这 里 。",
        "把人变成狗的故事很长也很好。",
        "red, green and blue",
        "",
        "same same same same",
    ],
)
def test_what_bears_no_exchange_is_left_alone(text):
    assert outcomes(text, "words", "numbers", "clauses") == {None}


def test_an_english_car_parts_no_clauses():
    assert outcomes("They sold the old car to Peter.", "clauses") == {None}
    assert outcomes("Il dort, car il est malade.", "clauses") == {"Il est malade, car il dort."}


def test_members_of_a_list_are_not_exchanged_with_each_other():
    found = outcomes("She likes cats and dogs.", "words", num=200)
    assert found == {"She cats likes and dogs.", "She dogs cats and likes."}
    found = outcomes("Red, green, blue and yellow stones", "words", num=300)
    assert "Green, red, blue and yellow stones" not in found
    assert "Red, yellow, blue and green stones" not in found
    assert "Red, stones, blue and yellow green" in found


def test_the_articles_of_a_list_do_not_hide_it():
    found = outcomes("He fed the horse and the sheep today", "words", num=300)
    assert "He fed the sheep and the horse today" not in found
    assert "He fed the today and the sheep horse" in found


def test_marks_and_the_first_capital_stay_in_their_places():
    assert move_words(["The", "cat,", "(who", "sleeps)", "dreams."], [4, 1, 2, 3, 0]) == [
        "Dreams",
        "cat,",
        "(who",
        "sleeps)",
        "the.",
    ]
    assert move_words(["Anna", "met", "Bob."], [2, 1, 0]) == ["Bob", "met", "Anna."]


def test_every_sentence_of_a_document_is_changed_and_the_space_between_stays():
    text = "Anna saw Peter at noon.\n\nBerta hit Conrad on Friday.  Short one."
    assert reorder(text, ["words"], dice()).splitlines()[1] == ""
    assert text_id(reorder(text, ["words"], dice()).split("\n\n")[0]) != text_id(text.split("\n\n")[0])
    assert reorder(text, ["words"], dice()).endswith("  Short one.")


def test_a_change_behind_the_head_alone_is_none():
    front = "so it is. " * (HEAD // 3 + 1)
    assert reorder(front + "Anna met Peter in the town of her birth.", ["numbers"], dice()) is None
    assert reorder(front + "Anna counted 3 cows and then 7 fat sheep there.", ["numbers"], dice()) is None
    assert reorder("Anna counted 3 cows, later 7 fat sheep. " + front, ["numbers"], dice()) is not None


WORDS = st.lists(
    st.sampled_from(["a", "the", "cat,", "Dog", "(fish)", "12", "7", "not", "before", "Berlin?", "und"]),
    min_size=0,
    max_size=14,
)


@given(WORDS, st.sets(st.sampled_from(EXCHANGES), min_size=1), st.integers(0, 1000))
def test_exchanges_keep_the_words_and_depend_on_the_generator_alone(words, kinds, seed):
    text = " ".join(words)
    found = reorder(text, sorted(kinds), dice(seed))
    assert found == reorder(text, sorted(kinds), dice(seed))
    if found is not None:
        assert text_id(found) != text_id(text)
        assert Counter(split_tokens(found)) == Counter(split_tokens(text))
        assert len(found.split()) == len(text.split())


@given(WORDS, st.integers(0, 1000))
def test_a_shorter_sentence_keeps_order_numbers_and_denials(words, seed):
    text = " ".join(words)
    found = shorten(text, dice(seed))
    if found is None:
        return
    left = iter(split_tokens(text))
    assert all(word in left for word in split_tokens(found))  # a subsequence: what was looked at is gone
    assert len(found.split()) < len(text.split())
    for kept in ("12", "7", "not", "before"):
        assert split_tokens(found).count(kept) == split_tokens(text).count(kept)


def test_the_end_of_a_shorter_sentence_keeps_its_mark():
    found = {shorten("Anna walked to the old mill, slowly.", dice(seed)) for seed in range(60)}
    assert None not in found
    assert all(text.endswith(".") and not text.endswith(",.") for text in found)


PAIR = Record("who sold boats", (SENTENCE, "Berta hit Conrad with a stone."), ("nothing",), language="en", task="find")


def test_a_record_gets_a_contrast_of_the_positive_that_it_comes_with():
    for seed in range(20):
        made = add_order_negative(PAIR, dice(seed), share=1.0, kinds=["words"], of="positive")
        assert len(made.positives) == 1
        assert made.positives[0] in PAIR.positives
        assert (made.query, made.negatives, made.task) == (PAIR.query, PAIR.negatives, PAIR.task)
        assert Counter(split_tokens(made.contrasts[0])) == Counter(split_tokens(made.positives[0]))


def test_a_share_of_the_records_get_one():
    made = [add_order_negative(PAIR, dice(seed), share=0.25, kinds=["words"], of="positive") for seed in range(1000)]
    assert 200 < sum(bool(record.contrasts) for record in made) < 300
    assert all(record is PAIR for record in made if not record.contrasts)


def test_the_query_of_a_paraphrase_is_reordered():
    pair = Record("Anna met Peter at noon.", ("Peter was met by Anna at noon.",), contrasts=("Nobody met anybody.",))
    made = add_order_negative(pair, dice(), share=1.0, kinds=["words"], of="query")
    assert made.contrasts == ("Peter met Anna at noon.", "Nobody met anybody.")
    assert made.positives == pair.positives


def test_a_sentence_asks_for_itself_shortened_against_itself_reordered():
    record = Record("q", ("Too short. " + SENTENCE,), ("mined",), language="en", task="find", source="here")
    made = add_order_negative(record, dice(), share=1.0, kinds=["numbers"], of="sentence")
    assert made.query == SENTENCE
    assert made.contrasts == ("Anna sold 1990 boats before she met Peter in 3.",)
    assert set(split_tokens(made.positives[0])) < set(split_tokens(SENTENCE))
    assert (made.task, made.language, made.source, made.negatives) == ("find", "en", "here", ())


def test_scores_follow_the_positive_and_say_nothing_of_the_contrast():
    scored = Record("q", (SENTENCE, "Berta hit Conrad with a stone."), ("n",), scores=(3.0, 2.0, 1.0))
    made = add_order_negative(scored, dice(1), share=1.0, kinds=["words"], of="positive")
    assert made.scores == ((3.0, 1.0) if made.positives[0] == SENTENCE else (2.0, 1.0))


@pytest.mark.parametrize("of", ["positive", "query", "sentence"])
@pytest.mark.parametrize(
    "record",
    [
        Record(SENTENCE, (SENTENCE + " too",), scores=(0.5,)),  # graded
        Record("把人变成狗的故事", ("很长也很好的一个故事",)),
        Record("short", ("also short",)),
    ],
)
def test_what_bears_no_contrast_stays_as_it_is(record, of):
    assert add_order_negative(record, dice(), share=1.0, kinds=get_args(Reordering), of=of) is record


def test_a_reordering_that_is_an_answer_is_no_contrast():
    record = Record("q", ("Anna met Peter at noon.", "Peter met Anna at noon."))
    assert add_order_negative(record, dice(), share=1.0, kinds=["words"], of="positive") is record
