"""The n-grams of documents, against a plain look through all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.errors import InputError
from slimvec.ranking.ngrams import MAX_LENGTH, NGramIndex

documents = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=30), min_size=1, max_size=14)


def index_of(*segments):
    index = NGramIndex()
    for segment in segments:
        index.add(segment)
    return index


def places(texts, ngram):
    """Numbers of the documents with an n-gram, once an occurrence."""
    size = len(ngram)
    return [
        number
        for number, text in enumerate(texts)
        for start in range(len(text) - size + 1)
        if text[start : start + size] == list(ngram)
    ]


@given(documents, st.lists(st.integers(0, 4), max_size=6), st.integers(1, 14))
def test_it_counts_and_finds_what_a_look_through_all_finds(texts, ngram, num_segments):
    index = index_of(*(texts[number::num_segments] for number in range(num_segments)))
    texts = [text for number in range(num_segments) for text in texts[number::num_segments]]
    assert index.num_documents == len(texts)
    assert index.num_tokens == sum(map(len, texts))
    found = index.find(ngram)
    if ngram:
        assert found.count == len(places(texts, ngram))
        assert index.documents(found).tolist() == sorted(set(places(texts, ngram)))
    wanted = sorted({token for token in range(5) if places(texts, [*ngram, token])})
    assert index.following(found).tolist() == wanted


def test_the_longest_ngrams_are_told_apart():
    long = list(range(MAX_LENGTH))
    index = index_of([long, [*long[:-1], 99], [7] * 40])
    for ending, document in ((MAX_LENGTH - 1, 0), (99, 1)):
        found = index.find([*long[:-1], ending])
        assert found.count == 1
        assert index.documents(found).tolist() == [document]
    assert index.find([7] * MAX_LENGTH).count == 40 - MAX_LENGTH + 1
    with pytest.raises(ValueError, match="n-grams of over 16 tokens"):
        index.extend(index.find(long), 1)


def test_many_segments_become_one():
    index = NGramIndex()
    for number in range(12):
        index.add([[number, 5, 6]])
        assert index.documents(index.find([5, 6])).tolist() == list(range(number + 1))
        assert index.documents(index.find([number, 5])).tolist()[-1] == number
    assert len(index._segments) < 9


def test_a_file_holds_it(tmp_path):
    index = index_of([[1, 2, 3], [2, 3]], [[3, 2, 3]])
    index.save(tmp_path / "n.npz")
    again = NGramIndex.load(tmp_path / "n.npz")
    assert again.documents(again.find([2, 3])).tolist() == [0, 1, 2]
    again.add([[2, 3, 4]])
    assert again.documents(again.find([2, 3])).tolist() == [0, 1, 2, 3]
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"bad.npz cannot be read: .*; expected an index of n-grams"):
        NGramIndex.load(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="document 1 has no tokens; expected some text; leave it out"):
        index.add([[1], []])


def test_nothing_follows_in_an_empty_index():
    index = NGramIndex()
    index.add([])
    assert index.following(index.everything()).tolist() == []
    assert index.documents(index.everything()).tolist() == []
    assert index.num_tokens == 0


def test_ten_thousand_documents_take_seconds():
    texts = np.random.default_rng(0).integers(0, 500, size=(10_000, 20))
    index = index_of(list(texts))
    assert index.num_documents == 10_000
    ngram = texts[9_999, 5:9]
    assert 9_999 in index.documents(index.find(ngram.tolist()))
