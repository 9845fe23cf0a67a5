"""torch.compile as an option: the same vectors, compiled once for all batches, its cost reported, refused if
pointless."""

from copy import deepcopy

import pytest
import torch
from torch._dynamo import reset
from torch._dynamo.utils import counters

from slimvec.engine.compiled import CompiledBackbone
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from tests.tiny import backbone, embedding_model, random_batch

BATCHES = ([3, 9, 9], [1], [1, 1], [40], [7] * 20, [2, 33, 5, 5])
TEXTS = ["one text", "x", "a longer text that says a little more"]


@pytest.fixture(autouse=True)
def _afresh():
    reset()
    counters.clear()
    yield
    reset()


@pytest.fixture
def no_inductor(monkeypatch):
    """Follows the model's code as torch.compile does, but compiles nothing."""
    monkeypatch.setattr(CompiledBackbone.__init__, "__kwdefaults__", {"backend": "eager"})


@pytest.mark.parametrize(
    ("architecture", "mode"), [("llama", "causal"), ("xlm-roberta", "bidirectional"), ("gemma3_text", "causal")]
)
def test_compiled_equals_plain_and_is_compiled_once(architecture, mode):
    plain = backbone(architecture, mode).eval()
    fast = CompiledBackbone(deepcopy(plain), backend="eager")
    kinds = 2 if architecture == "gemma3_text" else 1  # of layers: with a sliding window and without
    assert counters["stats"]["unique_graphs"] == kinds
    assert not counters["graph_break"]
    with torch.inference_mode():
        for lengths in BATCHES:
            batch = random_batch(lengths)
            torch.testing.assert_close(fast(batch), plain(batch), atol=2e-5, rtol=2e-5)
    assert counters["stats"]["unique_graphs"] == kinds
    assert fast.warmup_seconds > 0


@pytest.mark.usefixtures("no_inductor")
def test_load_compiles_where_asked_and_says_what_it_took(tmp_path):
    Embedder.from_model(embedding_model("qwen2", "causal")).save(tmp_path / "model")
    plain = Embedder.load(tmp_path / "model", engine="transformers")
    fast = Embedder.load(tmp_path / "model", engine="transformers", compile=True)
    assert (fast.engine, plain.engine) == ("transformers/grouped_sdpa, compiled", "transformers/grouped_sdpa")
    assert fast.warmup_seconds > plain.warmup_seconds == 0
    torch.testing.assert_close(fast.embed_documents(TEXTS), plain.embed_documents(TEXTS), atol=2e-5, rtol=2e-5)
    assert fast.explain("one", "two").cosine == pytest.approx(plain.explain("one", "two").cosine, abs=1e-5)


def test_compiling_the_fused_decoder_is_refused(tmp_path):
    Embedder.from_model(embedding_model("qwen2", "causal")).save(tmp_path / "model")
    with pytest.raises(InputError, match=r"compile=True for a model that the fused decoder runs; .*transformers"):
        Embedder.load(tmp_path / "model", compile=True)
