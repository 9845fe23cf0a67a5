"""Sentences of a document in another order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.data.rewriting import rearrange_documents, reorder_sentences
from slimvec.text.sentences import split_sentences

TEXT = " One stays. Two goes!\n\nThree asks? Four. "


def generator(seed=0):
    return np.random.default_rng(seed)


def test_sentences_change_places_and_white_space_stays():
    assert reorder_sentences(TEXT, [2, 3, 0, 1]) == " Three asks? Four.\n\nOne stays. Two goes! "
    assert reorder_sentences(TEXT, range(4)) == TEXT


def test_an_order_of_other_sentences_is_refused():
    with pytest.raises(ValueError, match=r"order \[0, 0, 1, 2\] of 4 sentences"):
        reorder_sentences(TEXT, [0, 0, 1, 2])


@given(st.integers(0, 10_000), st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)]))
def test_no_word_is_lost_and_no_sentence_changed(seed, shares):
    record = Record("query", (TEXT, "Other text. Of two."), ("Not this. Nor that.",))
    drawn = rearrange_documents(record, generator(seed), permute=shares[0], rotate=shares[1])
    for new, old in zip((*drawn.positives, *drawn.negatives), (*record.positives, *record.negatives), strict=True):
        assert sorted(split_sentences(new)) == sorted(split_sentences(old))
    assert drawn.query == "query"


def test_a_rotation_brings_every_sentence_to_every_place_equally_often():
    text = "A a. B b. C c. D d."
    draw = generator()
    places = Counter()
    for _ in range(2000):
        drawn = rearrange_documents(Record("q", (text,)), draw, permute=0, rotate=1)
        sentences = split_sentences(drawn.positives[0])
        places.update(enumerate(sentences))
        start = sentences.index("A a.")
        assert [sentences[(start + n) % 4] for n in range(4)] == split_sentences(text)
    assert len(places) == 16
    assert max(abs(count - 500) for count in places.values()) < 80  # four standard deviations


def test_shares_are_shares_of_the_documents():
    draw, text = generator(), " ".join(f"Sentence {n}." for n in range(30))
    changed = [
        rearrange_documents(Record("q", (text,)), draw, permute=0.3, rotate=0.0).positives[0] != text
        for _ in range(1000)
    ]
    assert sum(changed) == pytest.approx(300, abs=60)


def test_a_negative_of_the_same_sentences_never_becomes_the_positive():
    record = Record("q", ("A. b B.",), ("Zz. Yy.",))
    assert rearrange_documents(record, generator(), permute=1, rotate=0).query == "q"
    twins = Record("q", ("Aa. Bb.",), ("Bb. Aa.",))
    for seed in range(40):
        drawn = rearrange_documents(twins, generator(seed), permute=1, rotate=0)
        assert not set(drawn.positives) & set(drawn.negatives)
