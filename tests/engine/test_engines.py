"""The engine that `load` chooses gives the vectors of the plain path: fused, prefix reuse, repeats, streams."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine import calibration, runner
from slimvec.engine.embedder import Embedder
from slimvec.engine.fused import FusedDecoder
from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import DECODERS
from slimvec.model.cache import cache_root
from slimvec.model.folder import load_model
from slimvec.model.spec import LoraSettings, Pooling
from tests.tiny import ARCHITECTURES, MODES, embedding_model

TEXTS = ["one text", "x", "a longer text that says a little more", "one text", "mid-sized one", "x"]
POOLINGS = [
    Pooling(mode=mode, beta=beta, include_prompt=include)
    for mode, beta in [("mean", None), ("weighted", None), ("beta", 0.3), ("beta", 40.0), ("last", None), ("cls", None)]
    for include in (True, False)
]
texts = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: bool(text.strip())),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Saved tiny models by architecture and mode."""
    root = tmp_path_factory.mktemp("models")
    for architecture in ARCHITECTURES:
        for mode in MODES:
            Embedder.from_model(embedding_model(architecture, mode)).save(root / f"{architecture}-{mode}")
    return root


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_chosen_engine_gives_the_plain_vectors(architecture, mode, folders):
    folder = folders / f"{architecture}-{mode}"
    chosen, plain = Embedder.load(folder), Embedder.load(folder, engine="transformers")
    assert chosen.engine.startswith("fused/") == (architecture in DECODERS)
    assert (plain.engine, plain.engine_reason) == (
        "transformers/grouped_sdpa",
        "engine='transformers' was asked for",
    )
    for role in ("query", "document"):
        first, second = chosen.embed(TEXTS, role=role), plain.embed(TEXTS, role=role)
        np.testing.assert_allclose(first.vectors, second.vectors, atol=2e-5)
        assert first.num_tokens == second.num_tokens
    assert chosen.verify(folder) > 0.9999


def test_an_engine_that_cannot_be_had_is_refused(folders):
    embedder = Embedder.load(folders / "bert-bidirectional")
    assert embedder.engine_reason == "architecture bert is an encoder"
    with pytest.raises(ModelError, match=r"the fused decoder does not run .*: architecture bert is an encoder; leave"):
        Embedder.load(folders / "bert-bidirectional", engine="fused")


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
def test_prefix_reuse_equals_the_plain_path(pooling, folders):
    fast = Embedder.load(folders / "gemma3_text-causal", pooling=pooling)
    plain = Embedder.load(folders / "gemma3_text-causal", pooling=pooling, engine="transformers")

    @given(texts=texts, budget=st.integers(1, 100))
    def holds(texts, budget):
        fast.executor._budget = budget
        np.testing.assert_allclose(fast.embed_queries(texts), plain.embed_queries(texts), atol=3e-5)

    holds()


def test_prefix_reuse_saves_the_prompts_tokens_and_says_so(folders):
    embedder = Embedder.load(folders / "llama-causal")
    prompt = len(embedder.spec.prompts.render("query"))
    first, second = (embedder.embed(["abc", "defgh"], role="query") for _ in range(2))
    assert first.num_tokens == second.num_tokens == 2 * prompt + 8
    assert first.num_computed == prompt + 8
    assert second.num_computed == 8
    bidirectional = Embedder.load(folders / "llama-bidirectional").embed(["abc", "defgh"], role="query")
    assert bidirectional.num_computed == bidirectional.num_tokens


def test_repeated_texts_are_run_once(folders):
    embedder, told = Embedder.load(folders / "llama-causal"), []
    result = embedder.embed(TEXTS, on_progress=told.append)
    np.testing.assert_array_equal(result.vectors[0], result.vectors[3])
    np.testing.assert_array_equal(result.vectors[1], result.vectors[5])
    assert result.num_tokens == sum(map(len, TEXTS))
    assert result.num_computed == sum(map(len, set(TEXTS)))
    assert sum(told) == len(TEXTS)


def test_a_stream_gives_what_a_list_gives_and_reads_no_further_than_it_must(folders, monkeypatch):
    monkeypatch.setattr(runner, "BLOCK_TEXTS", 4)
    embedder = Embedder.load(folders / "llama-causal")
    words = [f"text number {number % 7}" for number in range(30)]
    read = []

    def generate():
        for word in words:
            read.append(word)
            yield word

    stream = embedder.embed_stream(generate())
    first = next(stream)
    assert first.vectors.shape[0] == 4
    assert len(read) == 8  # the block at hand and the one being tokenised
    vectors = np.concatenate([first.vectors, *(block.vectors for block in stream)])
    np.testing.assert_allclose(vectors, embedder.embed_documents(words), atol=1e-5)


def test_blocks_are_bounded_in_characters_too(monkeypatch):
    monkeypatch.setattr(runner, "BLOCK_CHARACTERS", 10)
    assert [(first, len(block)) for first, block in runner._blocks(["123456"] * 5)] == [(0, 2), (2, 2), (4, 1)]


def test_an_error_names_the_text_by_its_own_number(folders, monkeypatch):
    monkeypatch.setattr(runner, "BLOCK_TEXTS", 3)
    with pytest.raises(InputError, match="text 4 is empty"):
        list(Embedder.load(folders / "llama-causal").embed_stream(["a", "a", "b", "c", " "]))


def test_an_adapter_runs_fused(folders, tmp_path):
    model = load_model(folders / "qwen3-causal")
    add_lora(model.backbone, LoraSettings(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.3)
    plain = Embedder.from_model(model)
    plain.save(tmp_path / "adapter", merged=False)
    loaded = Embedder.load(tmp_path / "adapter")
    assert isinstance(loaded.backbone, FusedDecoder)
    np.testing.assert_allclose(loaded.embed_documents(TEXTS), plain.embed_documents(TEXTS), atol=3e-5)


def test_the_budget_is_measured_once_for_large_inputs(monkeypatch):
    runs = []
    assert calibration.token_budget(runs.append, "model", num_tokens=10) is None
    assert runs == []
    assert calibration.token_budget(runs.append, "model", num_tokens=10**6) in calibration.CANDIDATES
    assert runs
    monkeypatch.setattr(calibration, "measure", lambda _: pytest.fail("measured twice"))
    assert calibration.token_budget(runs.append, "model", num_tokens=10**6) in calibration.CANDIDATES


def test_a_budget_that_is_damaged_or_cannot_be_kept_is_measured_again(monkeypatch):
    monkeypatch.setattr(calibration, "measure", lambda _: 1024)
    assert calibration.token_budget(list, "model", num_tokens=10**6) == 1024
    (path,) = (cache_root() / "budgets").iterdir()
    path.write_text('{"token_budget"')
    assert calibration.token_budget(list, "model", num_tokens=10) is None
    monkeypatch.setattr(calibration, "measure", lambda _: 2048)
    assert calibration.token_budget(list, "model", num_tokens=10**6) == 2048
    shutil.rmtree(path.parent)
    path.parent.write_text("")  # no folder can be made there
    assert calibration.token_budget(list, "model", num_tokens=10**6) == 2048


def test_the_budget_with_the_least_time_a_token_wins():
    now = [0.0]

    def run(batch):
        now[0] += batch.num_tokens * (1 if batch.num_tokens == 2048 else 2)

    assert calibration.measure(run, clock=lambda: now[0]) == 2048


def test_a_pooling_can_be_named_by_its_mode(folders):
    folder = folders / "llama-causal"
    named, whole = Embedder.load(folder, pooling="last"), Embedder.load(folder, pooling=Pooling(mode="last"))
    np.testing.assert_array_equal(named.embed_queries(["a text"]), whole.embed_queries(["a text"]))
    with pytest.raises(InputError, match=r"pooling.mode: expected 'mean', 'last', 'weighted', 'beta' or 'cls'"):
        Embedder.load(folder, pooling="lst")
