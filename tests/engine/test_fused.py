"""The fused decoder equals transformers: random shapes of every architecture, both modes, both kernels and dtypes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.engine.fused.native import NativeLayers
from slimvec.engine.kernels.library import load_kernels
from slimvec.model.architectures import DECODERS
from slimvec.text.batch import PackedBatch
from tests.engine.fused_models import (
    ISAS,
    KERNELS,
    assert_close,
    build,
    leave_bfloat16,
    reference,
    shapes,
    use_isa,
    windows,
)
from tests.tiny import VOCABULARY, random_batch

DTYPES = (torch.float32, torch.bfloat16)
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    if request.param == "torch":
        return "torch"
    use_isa(request.param, monkeypatch)
    return "native"


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    use_isa(request.param, monkeypatch)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def needs(kernel: str, dtype: torch.dtype) -> None:
    if kernel == "native" and dtype not in load_kernels().dtypes:
        pytest.skip(f"no native kernel in {dtype}: {load_kernels().reason}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("architecture", DECODERS)
def test_equals_transformers(architecture, causal, dtype, kernel):
    needs(kernel, dtype)

    @given(
        settings=shapes(),
        window=windows(architecture),
        lengths=lengths,
        seed=st.integers(0, 99),
        biased=st.booleans(),
        rounded=st.booleans(),
    )
    def holds(settings, window, lengths, seed, biased, rounded):
        if architecture == "qwen2":  # has no head_dim of its own
            settings = {key: value for key, value in settings.items() if key != "head_dim"}
        if architecture == "llama":
            settings |= {"attention_bias": biased, "mlp_bias": biased}
        model = build(architecture, {**settings, **window}, seed=seed)
        if dtype == torch.float32 and not rounded:
            leave_bfloat16(model)
        batch = random_batch(lengths, seed=seed)
        expected = reference(model, batch, causal=causal)
        decoder = FusedDecoder.from_backbone(model, causal=causal, dtype=dtype, kernel=kernel)
        assert decoder.kernel == kernel
        assert_close(decoder(batch), expected, dtype)

    holds()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("architecture", DECODERS)
def test_a_prefix_computed_once_equals_the_whole_text(architecture, dtype, kernel):
    needs(kernel, dtype)

    @given(
        settings=shapes(),
        window=windows(architecture),
        prefix_length=st.integers(1, 35),
        lengths=lengths,
        seed=st.integers(0, 99),
    )
    def holds(settings, window, prefix_length, lengths, seed):
        if architecture == "qwen2":
            settings = {key: value for key, value in settings.items() if key != "head_dim"}
        model = build(architecture, {**settings, **window}, seed=seed)
        decoder = FusedDecoder.from_backbone(model, causal=True, dtype=dtype, kernel=kernel)
        prefix = random_batch([prefix_length], seed=seed + 1)
        batch = random_batch(lengths, seed=seed)
        _, past = decoder.forward(prefix, return_kv=True)
        states, own = decoder.forward(batch, past, return_kv=True)
        whole = PackedBatch.from_sequences(
            [prefix.input_ids.tolist() + text.tolist() for text in torch.split(batch.input_ids, list(batch.lengths))]
        )
        tails = whole.position_ids >= prefix_length
        assert_close(states, reference(model, whole, causal=True)[tails], dtype)
        expected = decoder.forward(whole, return_kv=True)[1]
        for found, wanted in ((own.keys, expected.keys), (own.values, expected.values)):
            scale = wanted.float().abs().max()
            close = 1e-4 if dtype == torch.float32 else 0.1
            assert (found.float() - wanted[:, tails].float()).abs().max() <= close * scale

    holds()


def append_one_by_one(decoder: FusedDecoder, tokens: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    past, states = None, []
    for part in torch.tensor_split(tokens, cuts):
        if not len(part):
            continue
        found, more = decoder.forward(PackedBatch.from_sequences([part.tolist()]), past, return_kv=True)
        past = more if past is None else past.extend(more)
        states.append(found)
    assert isinstance(past, KeyValues)
    assert past.length == len(tokens)
    return torch.cat(states)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("architecture", ["mistral", "gemma3_text"])
def test_appending_piece_by_piece_equals_the_whole_text(architecture, dtype, kernel):
    needs(kernel, dtype)

    @given(settings=shapes(), window=windows(architecture), cuts=st.lists(st.integers(1, 59), max_size=5))
    def holds(settings, window, cuts):
        model = build(architecture, {**settings, **window})
        decoder = FusedDecoder.from_backbone(model, causal=True, dtype=dtype, kernel=kernel)
        batch = random_batch([60])
        states = append_one_by_one(decoder, batch.input_ids, sorted(cuts))
        assert_close(states, reference(model, batch, causal=True), dtype)

    holds()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_company_does_not_change_a_text(causal, dtype, kernel):
    """A text alone, in a small batch, and in large ones that threads cut by rows or by chunks: the same states."""
    needs(kernel, dtype)
    settings = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = build("llama", {**settings, "num_hidden_layers": 3, "vocab_size": VOCABULARY, "pad_token_id": 0})
    decoder = FusedDecoder.from_backbone(model, causal=causal, dtype=dtype, kernel=kernel)
    text = random_batch([23], seed=5).input_ids.tolist()
    alone = decoder(PackedBatch.from_sequences([text]))
    for company in ([], [3, 9], [700], [40] * 30, [1] * 80, [900, 5, 5]):
        others = [random_batch([n], seed=n + i).input_ids.tolist() for i, n in enumerate(company)]
        for place in {0, len(others) // 2, len(others)}:
            sequences = [*others[:place], text, *others[place:]]
            start = sum(len(sequence) for sequence in sequences[:place])
            states = decoder(PackedBatch.from_sequences(sequences))[start : start + len(text)]
            assert_close(states, alone, dtype)


def test_a_bidirectional_decoder_refuses_a_past(kernel):
    needs(kernel, torch.float32)
    settings = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = build("llama", {**settings, "num_hidden_layers": 1, "vocab_size": VOCABULARY, "pad_token_id": 0})
    decoder = FusedDecoder.from_backbone(model, causal=False, dtype=torch.float32, kernel=kernel)
    states, kept = decoder.forward(random_batch([4]), return_kv=True)
    assert kept.length == 4
    assert states.shape == (4, decoder.width)
    with pytest.raises(ValueError, match="its tokens see what comes after them"):
        decoder.forward(random_batch([2]), kept)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("rounded", [True, False], ids=["in-bfloat16", "in-float32"])
def test_weights_are_held_in_bfloat16_only_where_that_loses_nothing(rounded):
    settings = {"hidden_size": 40, "intermediate_size": 50, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = build("llama", {**settings, "num_hidden_layers": 2, "vocab_size": VOCABULARY, "pad_token_id": 0})
    if not rounded:
        leave_bfloat16(model)
    batch = random_batch([23, 1, 9])
    decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")
    assert isinstance(decoder._layers, NativeLayers)
    held = {tensor.dtype for tensor in decoder._layers._packed[0] if tensor is not None and tensor.dim() == 4}
    assert held == {torch.bfloat16 if rounded else torch.float32}
    assert_close(decoder(batch), reference(model, batch, causal=True), torch.float32)


@pytest.mark.usefixtures("isa")
def test_a_state_that_is_not_finite_stays_so():
    """NaN and infinity pass softmax, activations and norms, and reach no other text."""
    settings = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = build("llama", {**settings, "num_hidden_layers": 2, "vocab_size": VOCABULARY, "pad_token_id": 0})
    for value in (float("nan"), float("inf"), -float("inf")):
        with torch.no_grad():
            model.embed_tokens.weight[7, 3] = value
        decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")
        states = decoder(PackedBatch.from_sequences([[1, 7, 2], [3, 4]]))
        assert not states[1:3].isfinite().all(dim=1).any()  # the token and what sees it
        assert states[3:].isfinite().all()
