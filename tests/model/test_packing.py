"""Packed equals one by one, for every architecture and both attention modes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.model.attention import ATTENTION_NAME
from slimvec.model.backbone import TransformersBackbone
from slimvec.text.batch import PackedBatch
from tests.tiny import ARCHITECTURES, MODES, backbone, hf_model, random_batch

lengths = st.lists(st.integers(1, 17), min_size=1, max_size=6)


def one_by_one(model: TransformersBackbone, batch: PackedBatch) -> torch.Tensor:
    """Run each text alone through transformers' own attention."""
    model.hf_model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            texts = torch.split(batch.input_ids, list(batch.lengths))
            return torch.cat([model.hf_model(input_ids=text[None]).last_hidden_state[0] for text in texts])
    finally:
        model.hf_model.set_attn_implementation(ATTENTION_NAME)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_one_by_one(architecture, mode):
    model = backbone(architecture, mode)

    @given(lengths=lengths, seed=st.integers(0, 99))
    def holds(lengths, seed):
        batch = random_batch(lengths, seed=seed)
        with torch.inference_mode():
            packed = model(batch)
        torch.testing.assert_close(packed, one_by_one(model, batch), atol=2e-5, rtol=1e-4)

    holds()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_of_packed_equal_those_of_one_by_one(architecture, mode):
    batch = random_batch([7, 3, 12, 3])
    gradients = []
    for packed in (True, False):
        model = TransformersBackbone(hf_model(architecture), mode)
        if packed:
            model(batch).square().sum().backward()
        else:
            for text in torch.split(batch.input_ids, list(batch.lengths)):
                model(PackedBatch.from_sequences([text.tolist()])).square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.parametrize("architecture", ["mistral", "qwen2", "gemma3_text"])
@pytest.mark.parametrize("mode", MODES)
def test_sliding_window_reaches_as_far_as_it_says(architecture, mode):
    """One layer with a window: a token moves the states inside the window and none outside."""
    model = backbone(architecture, mode)
    sliding = next(
        layer
        for layer in model.hf_model.layers
        if getattr(layer.self_attn, "sliding_window", None) or architecture == "mistral"
    )
    model.hf_model.layers = torch.nn.ModuleList([sliding])
    sliding.self_attn.layer_idx = 0
    window = 5
    if architecture != "mistral":
        model.config.layer_types = ["sliding_attention"]
    model.config.num_hidden_layers = 1
    first = random_batch([20])
    ids = first.input_ids.tolist()
    ids[10] = 2 if ids[10] != 2 else 3
    with torch.inference_mode():
        moved = (model(first) - model(PackedBatch.from_sequences([ids]))).abs().amax(1) > 1e-6
    low, high = (10, 10 + window - 1) if mode == "causal" else (10 - window, 10 + window)
    assert moved.nonzero().flatten().tolist() == list(range(low, high + 1))


@pytest.mark.parametrize(("window", "reach"), [(8, 4), (7, 3)])
def test_a_window_that_counts_both_sides_is_halved(window, reach):
    hf = hf_model("gemma3_text", use_bidirectional_attention=True, sliding_window=window, num_hidden_layers=1)
    made = TransformersBackbone(hf, "bidirectional")
    ids = random_batch([20]).input_ids.tolist()
    changed = [*ids[:10], 2 if ids[10] != 2 else 3, *ids[11:]]
    batches = [PackedBatch.from_sequences([sequence]) for sequence in (ids, changed)]
    with torch.inference_mode():
        moved = (made(batches[0]) - made(batches[1])).abs().amax(1) > 1e-6
        plain = hf_model("gemma3_text", use_bidirectional_attention=True, sliding_window=window, num_hidden_layers=1)(
            batches[0].input_ids[None]
        ).last_hidden_state[0]
    assert moved.nonzero().flatten().tolist() == list(range(10 - reach, 11 + reach))
    torch.testing.assert_close(made(batches[0]), plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "setting"), [("bert", "attention_probs_dropout_prob"), ("llama", "attention_dropout")]
)
def test_attention_dropout_is_off_and_the_config_says_so(architecture, setting):
    made = TransformersBackbone(hf_model(architecture, **{setting: 0.5}), "bidirectional")
    assert getattr(made.config, setting) == 0
    batch = random_batch([5, 9])
    with torch.no_grad():
        torch.testing.assert_close(made.train()(batch), made.eval()(batch))
