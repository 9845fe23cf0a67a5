"""Shares of token pairs sum to the cosine that the plain path gives, whatever the pooling."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.explanation import explain, group_by_words
from slimvec.errors import InputError
from slimvec.model.architectures import DECODERS
from slimvec.model.spec import Pooling
from slimvec.ranking.words import word_spans
from slimvec.text.batch import PackedBatch
from tests.engine.causal_models import POOLINGS, fused, merging_backend, plain, texts

MODELS = [*((architecture, "causal") for architecture in DECODERS), ("bert", "bidirectional")]


@pytest.mark.parametrize(("architecture", "mode"), MODELS)
def test_shares_sum_to_the_plain_cosine(architecture, mode):
    @given(
        query=texts,
        document=texts,
        pooling=st.sampled_from([*POOLINGS, Pooling(mode="cls")]),
        settings=st.sampled_from([{}, {"dims": 12}, {"normalize": False}, {"max_tokens": 14}]),
        dims=st.sampled_from([None, 5]),
    )
    def holds(query, document, pooling, settings, dims):
        parts = plain(architecture, mode, pooling=pooling, **settings)
        found = explain(parts, query, document, dims=dims)
        vectors = []
        for text, role in ((query, "query"), (document, "document")):
            tokenized = parts.tokenizer.tokenize([text], prompt=parts.spec.prompts.render(role))
            vector = parts.embed_ids(tokenized.sequences[0], tokenized.prefix_lengths[0], dims).astype(np.float64)
            vectors.append(vector / np.linalg.norm(vector))
        assert found.shares.dtype == np.float64
        assert abs(found.shares.sum() - vectors[0] @ vectors[1]) < 1e-6
        assert abs(found.cosine - found.shares.sum()) < 1e-12
        assert found.shares.shape == (len(found.query_tokens), len(found.document_tokens))
        words = found.by_word()
        assert abs(words.shares.sum() - found.cosine) < 1e-12
        assert words.shares.shape == (len(words.query_tokens), len(words.document_tokens))

    holds()


def test_a_text_explains_itself():
    parts = fused(pooling=Pooling(mode="beta", beta=2.0))
    found = explain(parts, "same text", "same text", query_role="document")
    assert found.cosine == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found.shares, found.shares.T, atol=1e-12)


def test_shares_are_products_of_weighted_states():
    parts = plain(pooling=Pooling(mode="weighted"))
    found = explain(parts, "ab", "xyz", query_role="document")
    states = [
        parts.backbone(PackedBatch.from_sequences(parts.tokenizer.tokenize([text]).sequences)).detach().double()
        for text in ("ab", "xyz")
    ]
    u, v = np.array([1, 2]) / 3, np.array([1, 2, 3]) / 6
    q, d = u @ states[0].numpy(), v @ states[1].numpy()
    expected = np.outer(u, v) * (states[0] @ states[1].T).numpy() / np.linalg.norm(q) / np.linalg.norm(d)
    np.testing.assert_allclose(found.shares, expected, atol=1e-9)


def test_tokens_have_their_places_and_kinds():
    parts = plain("bert", "bidirectional")
    found = explain(parts, "é", "ab c")
    prompt = parts.spec.prompts.render("query")
    query = [(t.text, t.start, t.end, t.is_prompt, t.is_special) for t in found.query_tokens]
    assert query[0] == ("[CLS]", 0, 0, True, True)
    assert query[1 : 1 + len(prompt)] == [(c, i, i + 1, True, False) for i, c in enumerate(prompt)]
    assert query[1 + len(prompt) :] == [("é", 0, 1, False, False)] * 2 + [("[SEP]", 1, 1, False, True)]
    document = found.by_word()
    assert [t.text for t in document.document_tokens] == ["[CLS]", "ab", " ", "c", "[SEP]"]
    assert [(t.text, t.is_prompt) for t in document.query_tokens[1:4]] == [("find", True), (":", True), (" ", True)]
    np.testing.assert_allclose(document.shares[-2], found.shares[-3:-1].sum(0) @ _merge_matrix(), atol=1e-12)


def _merge_matrix():
    """[CLS] a b space c [SEP] to [CLS] ab space c [SEP]."""
    return np.array(
        [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    )


def test_top_pairs_are_the_largest_by_size():
    found = explain(fused(backend=merging_backend()), "ab xy", "abc: ab")
    pairs = found.top_pairs(5)
    assert [abs(pair.share) for pair in pairs] == sorted(np.abs(found.shares).flat, reverse=True)[:5]
    own = found.top_pairs(1000, own_only=True)
    assert len(own) == sum(not t.is_prompt for t in found.query_tokens) * len(found.document_tokens)
    assert not any(pair.query.is_prompt for pair in own)
    assert len(found.top_pairs(10**6)) == found.shares.size
    np.testing.assert_allclose(found.document_share().sum(), found.cosine)
    np.testing.assert_allclose(found.query_share(), found.shares.sum(1))


def test_what_was_cut_off_is_counted():
    found = explain(fused(max_tokens=10), "abc", "0123456789abcdef")
    assert (found.query.num_truncated, found.document.num_truncated) == (0, 6)
    assert [token.text for token in found.document_tokens] == list("0123456789")


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="text 0 is empty"):
        explain(fused(), "query", " ")
    with pytest.raises(InputError, match="dims 40; expected 1 to 32"):
        explain(fused(), "query", "document", dims=40)
    with pytest.raises(InputError, match="task 'nope'"):
        explain(fused(), "query", "document", task="nope")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, it's 3 o'clock!", ["Don't", "stop", ",", "it's", "3", "o'clock", "!"]),
        ("snake_case(x) -> 'y'...", ["snake_case", "(", "x", ")", "->", "'", "y", "'..."]),
        ("明日はカフェ", list("明日はカフェ")),
        ("हिंदी में", ["हिंदी", "में"]),
        ("ไป", ["ไ", "ป"]),
        ("café e\u0301", ["café", "e\u0301"]),
        ("한국어 книга", ["한국어", "книга"]),
        (" \n", []),
    ],
)
def test_words(text, words):
    assert [text[start:end] for start, end in word_spans(text)] == words


@given(text=texts, data=st.data())
def test_groups_of_tokens_follow_each_other_and_keep_words_whole(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=8)) | {0, len(text)})
    spans = list(pairwise(cuts))
    groups = group_by_words(text, spans)
    assert [group[0] for group in groups] == [0, *(end for _, end in groups[:-1])]
    assert groups[-1][1] == len(spans)
    for start, end in word_spans(text):
        touching = {g for g, (a, b) in enumerate(groups) for s, e in spans[a:b] if s < end and start < e}
        assert len(touching) == 1
