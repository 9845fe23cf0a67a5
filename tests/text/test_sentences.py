"""Sentences by their marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.text.sentences import sentence_spans, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!  Three?\n", ["One.", "Two!", "Three?"]),
        ("He said (twice.) Then he left.", ["He said (twice.)", "Then he left."]),
        ("Some, e.g. this one. J. Smith came.", ["Some, e.g. this one.", "J. Smith came."]),
        ("Version 3.11 is out. It works", ["Version 3.11 is out.", "It works"]),
        ("A heading\n\nA line that is\nwrapped. Next", ["A heading", "A line that is\nwrapped.", "Next"]),
        ("\u4f60\u597d\u3002\u518d\u89c1\u3002", ["\u4f60\u597d\u3002", "\u518d\u89c1\u3002"]),
        ("\u0f40\u0f0d \u0f41\u0f0d\u0f0d \u0f42", ["\u0f40\u0f0d", "\u0f41\u0f0d\u0f0d", "\u0f42"]),
        ("no mark at all", ["no mark at all"]),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(alphabet=st.sampled_from("aB. !?\n\u3002\u0f0d\"'"), max_size=60))
def test_spans_follow_each_other_and_leave_nothing_out_but_white_space(text):
    spans = sentence_spans(text)
    end = 0
    for start, stop in spans:
        assert start < stop
        assert not text[end:start].strip()
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()
