"""The scheduler: any mixture of requests gives each the vectors it would have alone."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.engine.requests import ClosedError, OverloadedError
from slimvec.engine.scheduler import Scheduler
from slimvec.errors import InputError
from tests.engine.test_bad_texts import Breaking
from tests.tiny import embedding_model

TASKS = (None, "Find what is alike", "Find what is not")
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
requests = st.lists(
    st.tuples(
        st.lists(words, max_size=5),
        st.sampled_from(["query", "document"]),
        st.sampled_from(TASKS),
        st.sampled_from([None, 5]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def embedders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "llama"
    Embedder.from_model(embedding_model()).save(folder)
    return Embedder.load(folder, engine="fused"), Embedder.load(folder, engine="transformers")


@pytest.fixture
def held(embedders):
    """A scheduler that is kept busy until its gate opens."""
    scheduler, gate = Scheduler(embedders[0].executor, max_waiting_tokens=60), threading.Event()
    busy = threading.Event()
    scheduler.call(lambda: (busy.set(), gate.wait(20)))
    assert busy.wait(20)
    yield scheduler, gate
    gate.set()
    scheduler.close()


def test_any_mixture_of_requests_gives_each_its_vectors(embedders):
    @given(asked=requests, batch_tokens=st.integers(1, 400))
    def holds(asked, batch_tokens):
        for embedder in embedders:
            scheduler = Scheduler(embedder.executor, batch_tokens=batch_tokens)
            futures = [scheduler.submit(texts, role=role, task=task, dims=dims) for texts, role, task, dims in asked]
            scheduler.close()  # finishes what it took
            for (texts, role, task, dims), future in zip(asked, futures, strict=True):
                answer = future.result(0)
                expected = embedders[1].embed(texts, role=role, task=task, dims=dims)
                np.testing.assert_allclose(answer.vectors, expected.vectors, atol=3e-5)
                assert answer.tokens.tolist() == expected.tokens.tolist()
                assert answer.truncated.tolist() == expected.truncated.tolist()

    holds()


def test_prompts_are_left_out_where_that_saves_a_pass(embedders, monkeypatch):
    scheduler, executor = Scheduler(embedders[0].executor), embedders[0].executor
    prompt = len(executor.tokenizer.prompt_ids(executor.spec.prompts.render("query")))
    seen = []
    pool = executor.pool

    def watched(tokenized, chosen, poolings, prefix=None):
        seen.append((len(chosen), prefix is not None))
        return pool(tokenized, chosen, poolings, prefix)

    monkeypatch.setattr(executor, "pool", watched)
    gate = threading.Event()
    scheduler.call(lambda: gate.wait(20))
    futures = [scheduler.submit(["abc"], role="query") for _ in range(3)] + [scheduler.submit(["a text"])]
    gate.set()
    assert [future.result(20).num_tokens for future in futures] == [prompt + 3] * 3 + [6]
    assert seen == [(3, True), (1, False)]
    seen.clear()
    monkeypatch.setattr("slimvec.engine.scheduler.PASS_TOKENS", 10_000)
    gate.clear()
    scheduler.call(lambda: gate.wait(20))
    futures = [scheduler.submit(["abc"], role="query"), scheduler.submit(["a text"])]
    gate.set()
    assert all(len(future.result(20).vectors) == 1 for future in futures)
    assert seen == [(2, False)]
    scheduler.close()


def test_a_text_without_numbers_fails_alone(embedders, monkeypatch):
    executor = embedders[1].executor
    engine = executor.engine
    monkeypatch.setattr(executor, "engine", engine.__class__(**{**vars(engine), "backbone": Breaking(engine.backbone)}))
    scheduler = Scheduler(executor)
    gate = threading.Event()
    scheduler.call(lambda: gate.wait(20))
    first, second = scheduler.submit(["one", "bad \u0007 one"]), scheduler.submit(["two"])
    gate.set()
    assert [text.number for text in first.result(20).bad] == [1]
    assert np.isnan(first.result().vectors[1]).all()
    assert np.isfinite(first.result().vectors[0]).all()
    assert not second.result(20).bad
    scheduler.close()


def test_a_request_that_breaks_the_engine_breaks_itself_alone(embedders, monkeypatch):
    executor = embedders[1].executor
    pool, left = executor.pool, []

    def breaking(tokenized, chosen, poolings, prefix=None):
        if any(len(tokenized.sequences[number]) == 13 for number in chosen):
            raise RuntimeError("thirteen")
        return pool(tokenized, chosen, poolings, prefix)

    monkeypatch.setattr(executor, "pool", breaking)
    scheduler = Scheduler(executor, batch_tokens=40)
    gate = threading.Event()
    scheduler.call(lambda: gate.wait(20))
    futures = [scheduler.submit(texts) for texts in (["a"], ["b" * 13, *["c" * 30] * 5], ["d", "e"])]
    gate.set()
    with pytest.raises(RuntimeError, match="thirteen"):
        futures[1].result(20)
    assert [len(futures[number].result(20).vectors) for number in (0, 2)] == [1, 2]
    scheduler.close()
    assert (scheduler.waiting_tokens, left) == (0, [])


def test_a_full_queue_refuses_and_says_when_to_come_back(held):
    scheduler, gate = held
    kept = scheduler.submit(["x" * 40])
    assert (scheduler.waiting_tokens, scheduler.waiting_requests) == (40, 1)
    with pytest.raises(OverloadedError, match="40 tokens are waiting already; ask again in 1 seconds") as caught:
        scheduler.submit(["y" * 21])
    assert caught.value.seconds == 1.0
    gate.set()
    assert kept.result(20).num_tokens == 40
    deadline = time.monotonic() + 20
    while scheduler.waiting_requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert scheduler.submit(["z" * 150]).result(20).num_tokens == 150  # too large for the queue, and alone
    assert scheduler.tokens_per_second > 0


def test_a_cancelled_request_is_not_computed(held, embedders, monkeypatch):
    scheduler, gate = held
    gone, kept = scheduler.submit(["x" * 20]), scheduler.submit(["y" * 20])
    assert gone.cancel()
    seen = []
    pool = embedders[0].executor.pool
    monkeypatch.setattr(embedders[0].executor, "pool", lambda *asked: seen.append(asked[0].lengths) or pool(*asked))
    gate.set()
    kept.result(20)
    assert seen == [[20]]
    assert scheduler.waiting_tokens == 0


def test_calls_wait_in_the_bounded_queue_too_and_go_when_they_are_cancelled(held):
    scheduler, gate = held
    called = []
    calls = [scheduler.call(lambda: called.append(1), num_tokens=25) for _ in range(2)]
    with pytest.raises(OverloadedError, match="50 tokens are waiting already"):
        scheduler.call(lambda: called.append(2), num_tokens=25)
    assert calls[0].cancel()
    gate.set()
    calls[1].result(20)
    assert called == [1]
    assert scheduler.waiting_tokens == 0


def test_small_requests_are_not_held_up_by_large_ones(embedders):
    scheduler, gate, order = Scheduler(embedders[0].executor, batch_tokens=20), threading.Event(), []
    scheduler.call(lambda: gate.wait(20))
    large = scheduler.submit(["x" * 15] * 30)
    small = scheduler.submit(["y"])
    for name, future in (("large", large), ("small", small)):
        future.add_done_callback(lambda _, name=name: order.append(name))
    gate.set()
    scheduler.close()
    assert order == ["small", "large"]


def test_wrong_requests_are_refused_before_they_wait(embedders):
    scheduler = Scheduler(embedders[0].executor)
    with pytest.raises(InputError, match="text 1 is empty"):
        scheduler.submit(["a", " "])
    with pytest.raises(InputError, match="dims 33; expected 1 to 32"):
        scheduler.submit(["a"], dims=33)
    with pytest.raises(InputError, match="task 'x'"):
        scheduler.submit(["a"], task="x")
    assert scheduler.submit([]).result(0).vectors.shape == (0, 32)
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 // 0).result(20)
    unscaled = scheduler.submit(["a text"], normalize=False).result(20).vectors
    scaled = scheduler.submit(["a text"]).result(20).vectors
    np.testing.assert_allclose(unscaled / np.linalg.norm(unscaled), scaled, atol=1e-6)
    assert abs(np.linalg.norm(unscaled) - 1) > 1e-3
    scheduler.close()
    assert not scheduler.is_running
    with pytest.raises(ClosedError, match="the server is shutting down"):
        scheduler.submit(["a"])
