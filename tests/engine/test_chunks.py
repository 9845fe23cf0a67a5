"""Chunks are pooled slices of the plain states; windows cover long texts; short texts have their usual vector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.chunk_borders import cut_by_tokens
from slimvec.engine.chunks import embed_chunks
from slimvec.engine.long_texts import embed_long
from slimvec.errors import InputError, ModelError
from slimvec.model.head import finish
from slimvec.model.pooling import token_weights
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.located import locate
from tests.engine.causal_models import POOLINGS, fused, merging_backend, plain, texts

MODELS = (("llama", "causal"), ("gemma3_text", "causal"), ("qwen3", "bidirectional"), ("bert", "bidirectional"))


def pooled_slice(states, tokens, run, pooling):
    """Pool a run of own tokens by hand, weighted by places in the whole text."""
    weights = token_weights(PackedBatch.from_sequences([[0] * (tokens.first + run[1])]), pooling).double()
    weights[: tokens.first + run[0]] = 0
    return (weights / weights.sum()).float() @ states[: tokens.first + run[1]]


@pytest.mark.parametrize(("architecture", "mode"), MODELS)
def test_chunks_are_slices_of_the_plain_states(architecture, mode):
    @given(text=texts, pooling=st.sampled_from(POOLINGS), role=st.sampled_from(["query", "document"]), data=st.data())
    def holds(text, pooling, role, data):
        parts = plain(architecture, mode, pooling=pooling)
        places = st.integers(0, len(text))
        spans = data.draw(st.lists(st.tuples(places, places).filter(lambda s: s[0] < s[1]), min_size=1, max_size=4))
        found = embed_chunks(parts, text, chunks=spans, role=role)
        tokens = locate(parts.tokenizer, text, prompt=parts.spec.prompts.render(role))
        with torch.inference_mode():
            states = parts.backbone(PackedBatch.from_sequences([tokens.sequence])).float()
        ends = tokens.ends
        runs = [(sum(e <= start for e in ends), sum(e <= end for e in ends)) for start, end in spans]
        expected = torch.stack([pooled_slice(states, tokens, run, pooling) for run in runs])
        np.testing.assert_allclose(found.vectors, finish(expected, parts.head, parts.spec).numpy(), atol=1e-5)
        assert found.spans == spans
        assert found.num_tokens == [end - start for start, end in runs]
        assert (found.num_windows, found.truncated) == (1, False)

    holds()


@given(text=texts, chunk_tokens=st.integers(1, 30))
def test_chunks_by_tokens_cover_the_text_once(text, chunk_tokens):
    parts = fused(backend=merging_backend())
    found = embed_chunks(parts, text, chunk_tokens=chunk_tokens)
    assert "".join(text[start:end] for start, end in found.spans) == text
    assert sum(found.num_tokens) == locate(parts.tokenizer, text).num_own
    by_spans = embed_chunks(parts, text, chunks=found.spans)
    np.testing.assert_array_equal(found.vectors, by_spans.vectors)
    assert found.num_tokens == by_spans.num_tokens
    for (start, end), count in zip(found.spans, found.num_tokens, strict=True):
        assert count <= chunk_tokens or end - start == 1  # one character may have more tokens than that


def chunks_of(text, chunk_tokens):
    runs = cut_by_tokens(text, range(1, len(text) + 1), chunk_tokens)
    return [text[start:end] for start, end in runs]


def test_chunks_end_with_sentences_then_words():
    assert chunks_of("One two. Three four five. Six", 14) == ["One two. ", "Three four ", "five. Six"]
    assert chunks_of("One two. Three", 10) == ["One two. ", "Three"]
    assert chunks_of("price 3.14159 euro", 9) == ["price ", "3.14159 ", "euro"]
    assert chunks_of("今天。明天下雨", 5) == ["今天。", "明天下雨"]
    assert chunks_of("line\nnext line", 8) == ["line\n", "next ", "line"]
    assert chunks_of("unbrokenletters", 6) == ["unbrok", "enlett", "ers"]
    assert chunks_of("short", 9) == ["short"]


def test_a_character_is_never_cut():
    assert cut_by_tokens("é日", [1, 1, 2, 2, 2], 2) == [(0, 2), (2, 5)]
    assert cut_by_tokens("日é", [1, 1, 1, 2, 2], 1) == [(0, 3), (3, 5)]


@pytest.mark.parametrize(("architecture", "mode"), MODELS)
def test_chunks_of_a_long_text_come_from_its_windows(architecture, mode):
    parts = plain(architecture, mode, max_tokens=12)
    text = "abcdefgh ijklmnop qrstuvwx yz"
    found = embed_chunks(parts, text, chunk_tokens=6, policy="window-mean", overlap_tokens=3)
    tokens = locate(parts.tokenizer, text)
    room = 12 - tokens.first - len(tokens.closing)
    states, done = [], 0
    for start in range(0, len(text) - 3, room - 3):
        sequence = tokens.ids[: tokens.first] + tokens.ids[tokens.first + start :][:room] + tokens.closing
        with torch.inference_mode():
            window = parts.backbone(PackedBatch.from_sequences([sequence])).float()[tokens.first :]
        states += list(window[done - start : min(room, len(text) - start)])
        done = len(states)
    expected = torch.stack([torch.stack(states[start:end]).mean(0) for start, end in found.spans])
    np.testing.assert_allclose(found.vectors, finish(expected, parts.head, parts.spec).numpy(), atol=1e-5)
    assert found.num_windows == -(-(len(text) - 3) // (room - 3))
    assert "".join(text[start:end] for start, end in found.spans) == text


def test_a_long_text_is_refused_or_cut_off():
    parts = fused(max_tokens=10)
    text = "one two three four"
    with pytest.raises(
        InputError, match=r"18 tokens; expected at most 10, .* choose the policy truncate or window-mean"
    ):
        embed_chunks(parts, text, chunk_tokens=5)
    cut = embed_chunks(parts, text, chunk_tokens=5, policy="truncate")
    assert (cut.truncated, cut.spans[-1][1], sum(cut.num_tokens)) == (True, 10, 10)
    np.testing.assert_allclose(cut.vectors[0], embed_chunks(parts, text[:10], chunk_tokens=5).vectors[0], atol=1e-6)
    with pytest.raises(InputError, match=r"chunk 1 \(12 to 18\) holds no token; .* only the first 10 characters fit"):
        embed_chunks(parts, text, chunks=[(0, 4), (12, 18)], policy="truncate")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "chunks None and chunk_tokens None; expected one of the two"),
        ({"chunks": [(0, 1)], "chunk_tokens": 2}, "expected one of the two"),
        ({"chunk_tokens": 0}, "chunk_tokens 0; expected at least 1"),
        ({"chunks": []}, "no chunks; expected at least one"),
        ({"chunks": [(0, 3), (2, 2)]}, "chunk 1 is 2 to 2; expected 0 <= start < end <= 7, the length of the text"),
        ({"chunks": [(3, 8)]}, "chunk 0 is 3 to 8"),
        ({"chunks": [(0, 2)]}, r"chunk 0 \(0 to 2\) holds no token; expected a token that ends in each chunk$"),
        ({"chunk_tokens": 2, "policy": "drop"}, "policy 'drop'; expected one of error, truncate, window-mean"),
        ({"chunk_tokens": 2, "overlap_tokens": 2}, "overlap of 2 tokens with policy error; expected 0, or more with"),
    ],
)
def test_wrong_chunks_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        embed_chunks(fused(backend=merging_backend()), "abc abc", **arguments)


def test_cls_pooling_has_no_chunks():
    with pytest.raises(ModelError, match="chunks with cls pooling"):
        embed_chunks(plain("bert", "bidirectional", pooling=Pooling(mode="cls")), "text", chunk_tokens=2)


@pytest.mark.parametrize(("architecture", "mode"), MODELS)
def test_texts_that_fit_have_their_usual_vector(architecture, mode):
    @given(
        texts=st.lists(texts, min_size=1, max_size=5),
        pooling=st.sampled_from(POOLINGS),
        policy=st.sampled_from(["error", "truncate", "window-mean"]),
        budget=st.integers(1, 99),
    )
    def holds(texts, pooling, policy, budget):
        parts = plain(architecture, mode, pooling=pooling)
        found = embed_long(parts, texts, policy=policy, role="query", token_budget=budget)
        prompt = parts.spec.prompts.render("query")
        np.testing.assert_allclose(found.vectors, [parts.embed(text, prompt) for text in texts], atol=1e-5)
        assert found.num_windows == [1] * len(texts)
        assert found.num_truncated == 0
        assert found.num_tokens == sum(parts.tokenizer.tokenize(texts, prompt=prompt).lengths)

    holds()


@given(length=st.integers(1, 90), overlap=st.integers(0, 5), pooling=st.sampled_from(POOLINGS))
def test_windows_are_averaged_by_their_own_tokens(length, overlap, pooling):
    parts = plain("qwen2", pooling=pooling, max_tokens=20)
    prompt = parts.spec.prompts.render("query")
    text = ("the quick brown fox " * 5)[:length].replace(" ", "_")
    found = embed_long(parts, ["short", text], policy="window-mean", overlap_tokens=overlap, role="query")
    room = 20 - len(prompt)
    starts = range(0, max(length - overlap, 1), room - overlap) if length > room else [0]
    windows = [text[start : start + room] for start in starts]
    assert windows[-1].endswith(text[-1])
    mean = sum(len(window) * parts.embed(window, prompt) for window in windows)
    np.testing.assert_allclose(found.vectors[1], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(found.vectors[0], parts.embed("short", prompt), atol=1e-5)
    assert found.num_windows == [1, len(windows)]
    assert found.num_tokens == 20 - room + 5 + sum(20 - room + len(window) for window in windows)


def test_policies_for_long_texts():
    parts = plain(max_tokens=8)
    texts = ["short", "long enough"]
    with pytest.raises(
        InputError, match=r"text 1 \('long enough'\) is longer than 8 tokens; .* truncate or window-mean"
    ):
        embed_long(parts, texts, policy="error")
    cut = embed_long(parts, texts, policy="truncate")
    assert (cut.num_truncated, cut.num_windows) == (1, [1, 1])
    np.testing.assert_allclose(cut.vectors[1], parts.embed("long eno"), atol=1e-6)
    assert embed_long(parts, texts, policy="window-mean").num_truncated == 0
    with pytest.raises(InputError, match="overlap of 8 tokens; expected less: a window has room for 8 tokens behind"):
        embed_long(parts, texts, policy="window-mean", overlap_tokens=8)
    with pytest.raises(InputError, match="overlap of -1 tokens with policy window-mean"):
        embed_long(parts, texts, policy="window-mean", overlap_tokens=-1)
    with pytest.raises(InputError, match=r"one string; expected a list of texts; write \[text\]"):
        embed_long(parts, "text", policy="truncate")


def test_no_texts_have_no_vectors_and_fewer_dims_are_kept():
    parts = plain(max_tokens=8)
    assert embed_long(parts, [], policy="error").vectors.shape == (0, 32)
    found = embed_long(parts, ["long enough"], policy="window-mean", dims=4).vectors
    assert found.shape == (1, 4)
    np.testing.assert_allclose(np.linalg.norm(found), 1, atol=1e-6)
