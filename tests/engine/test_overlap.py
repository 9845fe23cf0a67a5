"""Batches are issued ahead and fetched behind, in order, and change no vector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine import runner
from slimvec.engine.embedder import Embedder
from slimvec.engine.overlap import fetch_later, one_behind, send
from tests.tiny import embedding_model, random_batch


@given(items=st.lists(st.integers(), max_size=8), ahead=st.integers(0, 3))
def test_items_come_in_order_when_enough_are_under_way(items, ahead):
    made = []

    def make():
        for item in items:
            made.append(item)
            yield item

    given_back = []
    for item in one_behind(make(), ahead=ahead):
        given_back.append(item)
        assert len(made) == min(len(given_back) + ahead, len(items))
    assert given_back == items


def test_fetching_gives_the_vectors():
    vectors = torch.randn(3, 4)
    np.testing.assert_array_equal(fetch_later(vectors)(), vectors.numpy())
    batch = random_batch([2, 3])
    assert send(batch, torch.device("cpu")) is batch


def test_results_fetched_behind_go_to_their_texts(monkeypatch):
    """As on a GPU, one batch is under way while the one before it is fetched."""
    embedder = Embedder.from_model(embedding_model("llama", "causal"), token_budget=12)
    texts = [f"text {'x' * (number % 7)} {number}" for number in range(20)]
    expected, told = embedder.embed_documents(texts), []
    plain = runner.one_behind
    monkeypatch.setattr(runner, "one_behind", lambda items, ahead: plain(items, ahead=ahead + 1))
    found = embedder.embed(texts, on_progress=told.append)
    np.testing.assert_array_equal(found.vectors, expected)
    assert sum(told) == len(texts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_copies_beside_the_computation_on_a_gpu():
    device = torch.device("cuda")
    batch = send(random_batch([2, 3]), device)
    assert batch.device.type == "cuda"
    vectors = torch.randn(64, 64, device=device)
    fetch = fetch_later(vectors)
    expected = vectors.cpu().numpy()
    np.testing.assert_array_equal(fetch(), expected)
