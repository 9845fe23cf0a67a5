"""The attention probe reads which way a tiny model attends, whatever it declares."""

import numpy as np
import pytest
import torch

from slimvec.errors import ModelError
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.vector_store import VectorStore
from slimvec.probes.attention_mode import AttentionModeProbe, moved_states
from slimvec.probes.protocol import ProbeConfig
from slimvec.text.batch import PackedBatch
from tests.probes.planted import BagOfWords
from tests.probes.support import slimvec_model

TINY = ProbeConfig(amount="tiny", seed=1)
PROBE = AttentionModeProbe(num_texts=240)


@pytest.mark.parametrize(
    ("architecture", "mode"),
    [("llama", "causal"), ("llama", "bidirectional"), ("qwen3", "causal"), ("bert", "bidirectional")],
)
def test_what_was_planted_is_read(architecture, mode):
    result = PROBE.run(slimvec_model(architecture, mode), TINY)
    before, behind = result.measures
    assert behind.low > 0.01
    assert before.baseline < 1e-5
    if mode == "causal":
        assert before.high < 1e-5
    else:
        assert before.low > 0.01
    assert f"the model is {mode}, as its files say." in result.answer
    assert result.details["declared"] == mode
    assert result.num_texts == 40


def test_a_model_that_does_otherwise_than_it_says_is_named():
    model = slimvec_model("llama", "bidirectional")
    model.embedder.spec = model.embedder.spec.replace(attention="causal")
    answer = PROBE.run(model, TINY).answer
    assert answer.endswith("the model is bidirectional, although its files say causal.")


class Leaking:
    """A backbone in which every text sees the whole batch."""

    def __init__(self, backbone):
        self.backbone = backbone

    def __call__(self, batch):
        states = self.backbone(batch)
        return states + states.mean(dim=0)


def test_a_leak_between_texts_is_named():
    model = slimvec_model("llama", "causal")
    model.embedder.backbone = Leaking(model.embedder.backbone)
    result = PROBE.run(model, TINY)
    assert result.measures[0].baseline > 0.01
    assert result.answer.endswith("texts leak.")


def test_movements_are_those_of_texts_run_one_by_one():
    model = slimvec_model("llama", "bidirectional")
    backbone, texts = model.embedder.backbone, [[n + 2, n + 3, n + 4, n + 5, n + 6] for n in range(4)]
    changed, still = moved_states(model.embedder, texts)
    pool = sorted({token for text in texts for token in text})
    with torch.inference_mode():
        for row, number in enumerate((0, 2)):
            other = list(texts[number])
            other[2] = pool[(pool.index(other[2]) + 1 + number) % len(pool)]
            first, second = (backbone(PackedBatch.from_sequences([t])).double() for t in (texts[number], other))
            expected = (second - first).norm(dim=-1) / first.norm(dim=-1)
            assert changed[row] == pytest.approx(expected.numpy(), rel=1e-3)
    assert changed.shape == still.shape == (2, 5)
    assert np.abs(still).max() < 1e-5


def test_a_changed_token_is_another_one():
    class Recorder:
        def __init__(self):
            self.batches = []

        def __call__(self, batch):
            self.batches.append(batch.input_ids.view(-1, 3))
            return torch.ones(batch.num_tokens, 2)

    model = slimvec_model()
    model.embedder.backbone = recorder = Recorder()
    moved_states(model.embedder, [[n % 4 + 2, n % 3 + 2, 7] for n in range(20)])
    first, second = recorder.batches
    differs = first != second
    assert differs[::2, 1].all()
    assert not differs[1::2].any()
    assert not differs[:, [0, 2]].any()


def test_words_of_one_token_are_refused():
    with pytest.raises(ModelError, match="all words are token 5; expected a tokenizer that knows some English words"):
        moved_states(slimvec_model().embedder, [[5, 5, 5]] * 4)


def test_models_without_states_are_passed_over():
    result = PROBE.run(BagOfWords(), TINY)
    assert result.skipped == "the states of tokens are not to be had; load the model through slimvec"
    assert result.measures == ()


def test_texts_that_are_truncated_are_not_read_as_if_they_were_whole():
    result = PROBE.run(slimvec_model("llama", "causal", max_tokens=20), TINY)
    assert result.skipped == "every text is truncated; expected a limit of 25 tokens at least"
    assert result.measures == ()


def test_the_store_is_no_hindrance(tmp_path):
    model = slimvec_model()
    assert PROBE.run(CachedModel(model, VectorStore("x", tmp_path)), TINY) == PROBE.run(model, TINY)


def test_the_same_seed_draws_the_same():
    model = slimvec_model()
    assert PROBE.run(model, TINY) == PROBE.run(model, TINY)
    assert PROBE.run(model, ProbeConfig(amount="tiny", seed=2)).measures != PROBE.run(model, TINY).measures
