"""int8: products of whole numbers that stay near the full ones, kernels that equal plain torch, clear refusals."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine import int8_texts
from slimvec.engine.embedder import Embedder
from slimvec.engine.fused import FusedDecoder, UnsupportedError, decoder, int8, int8_layers
from slimvec.engine.fused.int8 import Int8Matrix, fine_rounding, int8_linear, quantise_product, smoothing
from slimvec.engine.fused.int8_layers import Int8Texts, num_full
from slimvec.engine.fused.native import NativeLayers
from slimvec.engine.kernels.library import Kernels, Packing, Target, load_kernels
from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import DECODERS
from slimvec.text.batch import PackedBatch
from tests.engine.fused_models import ISAS, build, shapes, use_int8, windows
from tests.tiny import VOCABULARY, embedding_model, random_batch

SETTINGS = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
LLAMA = {**SETTINGS, "num_hidden_layers": 3, "vocab_size": VOCABULARY, "pad_token_id": 0}
TEXTS = ["one text", "x", "a longer text that says a little more", "mid-sized one"]
needs_native = pytest.mark.usefixtures("int8_kernel")


@pytest.fixture(params=ISAS)
def int8_kernel(request, monkeypatch):
    use_int8(request.param, monkeypatch)
    if load_kernels().target.packing.int8_bits == 16:  # pairs of 16 bits: plain torch has to round as they do
        monkeypatch.setattr(int8, "ACTIVATION_LIMIT", 32767)


def int8_decoder(model, kernel, *, causal=True, dtype=torch.float32, check=lambda *_: None):
    measured, held_out = ([text.tolist() for text in random_texts(seed)] for seed in (7, 8))
    texts = Int8Texts(measured, held_out, check)
    return FusedDecoder.from_backbone(model, causal=causal, dtype=dtype, kernel=kernel, int8=texts)


def random_texts(seed):
    batch = random_batch([9, 30, 2, 17], seed=seed)
    return torch.split(batch.input_ids, list(batch.lengths))


def errors(states, expected):
    return (states - expected).norm(dim=-1) / expected.norm(dim=-1)


@given(rows=st.integers(1, 9), depth=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_quantised_product_is_near_the_full_one(rows, depth, seed):
    generator = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(rows, depth, generator=generator) for _ in range(2))
    bias = torch.randn(rows, generator=generator)
    weight[0] = 0
    matrix = Int8Matrix.of(weight)
    assert matrix.values.abs().max() <= 127
    assert ((matrix.values * matrix.scales[:, None] - weight).abs() <= matrix.scales[:, None] * 0.501).all()
    found = int8_linear(x, matrix.scales, matrix.values.float(), bias)
    peaks = x.abs().amax(dim=1, keepdim=True)
    bound = (peaks * weight.abs().sum(dim=1) + x.abs().sum(dim=1, keepdim=True) * weight.abs().amax(dim=1)) / 250 + 1e-4
    assert ((found - (x @ weight.T + bias)).abs() <= bound).all()
    assert (int8_linear(torch.zeros(1, depth), matrix.scales, matrix.values.float(), None) == 0).all()


def test_smoothing_evens_out_and_changes_no_product():
    x, weight = torch.randn(50, 16), torch.randn(8, 16)
    x[:, 3] *= 100
    weight[:, 5] = 0
    x[:, 7] = 0
    divisors = smoothing(x.abs().amax(dim=0), weight)
    assert (divisors > 0).all()
    torch.testing.assert_close((x / divisors) @ (weight * divisors).T, x @ weight.T, atol=1e-3, rtol=1e-3)
    plain, matrix = Int8Matrix.of(weight), Int8Matrix.of(weight * divisors)
    rough = (int8_linear(x, plain.scales, plain.values.float(), None) - x @ weight.T).norm()
    smooth = (int8_linear(x / divisors, matrix.scales, matrix.values.float(), None) - x @ weight.T).norm()
    assert smooth < rough / 3


def test_a_bias_makes_up_for_what_rounding_does_to_the_mean_and_channels_that_vary_are_rounded_finely():
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-2, 2, 32)
    x = (torch.randn(200, 32, generator=generator) + 0.5) * spread
    weight, bias = torch.randn(24, 32, generator=generator), torch.randn(24, generator=generator)
    full, found = x @ weight.T + bias, {}
    divisors = {"plain": torch.ones(32), "fine": fine_rounding(x.std(dim=0))}
    assert (divisors["fine"] > 0).all()
    assert divisors["fine"].mean() == pytest.approx(1)
    for name, by in divisors.items():
        matrix, kept = quantise_product(weight, bias, by, x.mean(dim=0))
        found[name] = (x / by) @ (matrix.values * matrix.scales[:, None]).T + kept
        torch.testing.assert_close(found[name].mean(dim=0), full.mean(dim=0), rtol=1e-4, atol=1e-3)
    matrix = Int8Matrix.of(weight)
    without = x @ (matrix.values * matrix.scales[:, None]).T + bias
    wrong = {name: (states - full).norm() for name, states in {**found, "without": without}.items()}
    assert wrong["fine"] < 0.8 * wrong["plain"] < 0.8 * wrong["without"]
    assert (fine_rounding(torch.zeros(3)) == 1).all()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("architecture", DECODERS)
def test_what_is_divided_is_multiplied_again(monkeypatch, architecture, wide):
    """Without any rounding the layers in int8 are the full ones, whatever has moved between weights and norms."""
    monkeypatch.setattr(int8, "ACTIVATION_LIMIT", 2**22)
    monkeypatch.setattr(Int8Matrix, "of", lambda weight: Int8Matrix(weight, torch.ones(weight.shape[0])))
    packing = Packing(panel=16, int8_bits=16 if wide else 8)
    target = Target(0, "none", "", (), packing)
    monkeypatch.setattr(decoder, "load_kernels", lambda: Kernels((), "none", target))
    settings = {**LLAMA, "attention_bias": True, "mlp_bias": True} if architecture == "llama" else LLAMA
    model, batch = build(architecture, settings), random_batch([20, 3])
    full = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="torch")
    torch.testing.assert_close(int8_decoder(model, "torch")(batch), full(batch), rtol=1e-3, atol=1e-3)


@needs_native
@pytest.mark.parametrize("architecture", DECODERS)
def test_native_equals_torch(architecture):
    """In float32 around the int8 products, so that only values at the border between two bytes may fall elsewhere."""

    @given(
        shape=shapes(),
        window=windows(architecture),
        lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
        causal=st.booleans(),
        biased=st.booleans(),
    )
    def holds(shape, window, lengths, causal, biased):
        if architecture == "qwen2":
            shape = {key: value for key, value in shape.items() if key != "head_dim"}
        if architecture == "llama":
            shape |= {"attention_bias": biased, "mlp_bias": biased}
        model, batch = build(architecture, {**shape, **window}), random_batch(lengths)
        native, plain = (int8_decoder(model, kernel, causal=causal) for kernel in ("native", "torch"))
        assert (native.kernel, native.int8, native.dtype) == ("native", True, torch.float32)
        found = errors(native(batch), plain(batch))
        assert found.max() < 0.1
        assert found.mean() < 0.01

    holds()


def test_a_model_that_corrections_move_too_far_is_rounded_plainly():
    states = []

    def refuse_the_first(_, found):
        states.append(found)
        if len(states) == 1:
            raise ModelError("too far")

    model, batch = build("llama", LLAMA), random_batch([20, 3])
    plain = int8_decoder(model, "torch", check=refuse_the_first)
    corrected = int8_decoder(model, "torch")
    assert len(states) == 2
    assert not torch.equal(*states)
    assert not torch.equal(plain(batch), corrected(batch))


@needs_native
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_int8_is_near_the_full_model_and_not_it(dtype):
    if dtype not in load_kernels().dtypes:
        pytest.skip(load_kernels().reason)
    told = []
    model, batch = build("llama", LLAMA), random_batch([20, 3, 40])
    decoder = int8_decoder(model, "native", dtype=dtype, check=lambda full, int8: told.append(errors(int8, full)))
    full = FusedDecoder.from_backbone(model, causal=True, dtype=dtype, kernel="native")
    found = errors(decoder(batch), full(batch))
    assert 1e-3 < found.mean() < 0.05
    assert told[0].shape == (58,)
    assert told[0].mean() < 0.05


@needs_native
def test_all_products_are_int8_where_activations_have_16_bits(monkeypatch):
    held = []
    add = NativeLayers.add
    monkeypatch.setattr(NativeLayers, "add", lambda layers, layer: (held.append(layer), add(layers, layer)))
    int8_decoder(build("llama", LLAMA), "native")
    wide = load_kernels().target.packing.int8_bits == 16
    names = {"output", "gate", "up"} | ({"qkv", "down"} if wide else set())
    matrices = ("qkv", "output", "gate", "up", "down")
    found = [{name for name in matrices if getattr(layer, name).dtype == torch.int8} for layer in held]
    assert found == [names] * LLAMA["num_hidden_layers"]


@needs_native
def test_company_and_a_prefix_do_not_change_a_text():
    """Alone (columns split over threads), among others (chunks), in one long batch (rows), behind a past."""
    before = torch.get_num_threads()
    decoder = int8_decoder(build("gemma3_text", {**LLAMA, "head_dim": 8, "sliding_window": 5}), "native")
    text = random_batch([23], seed=5).input_ids.tolist()
    alone = decoder(PackedBatch.from_sequences([text]))
    try:
        torch.set_num_threads(2)
        for company in ([], [3, 9], [700], [40] * 30):
            others = [random_batch([n], seed=n + i).input_ids.tolist() for i, n in enumerate(company)]
            states = decoder(PackedBatch.from_sequences([*others, text]))[-len(text) :]
            assert errors(states, alone).mean() < 0.01
    finally:
        torch.set_num_threads(before)
    _, past = decoder.forward(PackedBatch.from_sequences([text[:10]]), return_kv=True)
    behind = decoder.forward(PackedBatch.from_sequences([text[10:]]), past)
    assert errors(behind, alone[10:]).mean() < 0.01


def test_a_machine_without_the_kernel_does_it_slowly_and_says_how_slowly(monkeypatch, folder):
    wanted = Embedder.load(folder, dtype="float32").embed_documents(TEXTS)
    none = Kernels((torch.float32,), "the processor has no avx512_vnni")
    for module in ("fused.decoder", "loading"):
        monkeypatch.setattr(f"slimvec.engine.{module}.load_kernels", lambda: none)
    with pytest.raises(UnsupportedError, match=r"no native kernel in torch.int8: the processor has no avx512_vnni"):
        int8_decoder(build("llama", {**LLAMA, "num_hidden_layers": 4}), "native")
    embedder = Embedder.load(folder, dtype="int8")
    assert (embedder.engine, embedder.dtype) == ("fused/torch", "int8")
    said = r"no kernel multiplies in int8 on this processor: such products take [\d.]+ times float32's"
    assert re.fullmatch(said, embedder.slowness)
    assert embedder.engine_reason == f"the processor has no avx512_vnni; {embedder.slowness}"
    cosines = (embedder.embed_documents(TEXTS) * wanted).sum(axis=1)
    assert (cosines > 0.99).all()
    assert (cosines < 1).any()


def test_models_and_paths_without_int8_are_refused(tmp_path):
    Embedder.from_model(embedding_model("bert", "bidirectional")).save(tmp_path / "bert")
    with pytest.raises(InputError, match=r"dtype int8 for .*: architecture bert is an encoder; expected a decoder"):
        Embedder.load(tmp_path / "bert", dtype="int8")
    with pytest.raises(InputError, match=r"dtype int8 for .*: engine='transformers' was asked for"):
        Embedder.load(tmp_path / "bert", dtype="int8", engine="transformers")


def test_layers_at_the_ends_of_a_deep_model_stay_in_full(monkeypatch):
    assert [num_full(layers) for layers in (1, 4, 7, 8, 15, 16, 30)] == [0, 0, 0, 1, 1, 2, 2]
    monkeypatch.setattr(decoder, "load_kernels", lambda: Kernels((), "none"))
    rounded, real = [], int8_layers._half_quantised
    monkeypatch.setattr(int8_layers, "_half_quantised", lambda *given: rounded.append(given) or real(*given))
    int8_decoder(build("llama", {**LLAMA, "num_hidden_layers": 8}), "torch")
    assert len(rounded) == 6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tiny model, whose few numbers a state move further than a real one's."""
    monkeypatch.setattr(int8_texts, "MIN_COSINE", 0.99)
    Embedder.from_model(embedding_model("llama", "causal")).save(tmp_path / "model")
    return tmp_path / "model"


@needs_native
def test_everything_that_sits_on_the_engine_works_in_int8(folder, tmp_path):
    embedder, full = Embedder.load(folder, dtype="int8"), Embedder.load(folder)
    assert (embedder.dtype, embedder.engine, embedder.engine_reason) == ("int8", "fused/native", "")
    cosines = (embedder.embed_queries(TEXTS) * full.embed_queries(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99
    state = embedder.open(TEXTS[2][:11])
    state.append(TEXTS[2][11:])
    whole = embedder.embed_documents([TEXTS[2]])[0]
    np.testing.assert_allclose(state.vector, whole, atol=5e-3)
    np.testing.assert_allclose(embedder.prefixes(TEXTS[2]).vectors[-1], whole, atol=5e-3)
    assert embedder.explain(TEXTS[0], TEXTS[1]).cosine == pytest.approx(
        full.explain(TEXTS[0], TEXTS[1]).cosine, abs=0.03
    )
    embedder.save(tmp_path / "saved")
    assert Embedder.load(tmp_path / "saved").dtype == full.dtype


@needs_native
def test_a_state_in_int8_goes_on_in_int8_only(folder, tmp_path):
    embedder = Embedder.load(folder, dtype="int8")
    embedder.open("abc").save(tmp_path / "state")
    assert embedder.load_state(tmp_path / "state").text == "abc"
    half = embedder.backbone.dtype == torch.bfloat16
    other = Embedder.load(folder, dtype="bfloat16" if half else "float32")
    with pytest.raises(ModelError, match=r"was computed in torch\.\w+ and torch.int8; expected .*dtype='int8'"):
        other.load_state(tmp_path / "state")


@needs_native
def test_a_model_that_does_not_bear_int8_is_refused(folder, monkeypatch):
    monkeypatch.setattr(int8_texts, "MIN_COSINE", 1.1)
    with pytest.raises(
        ModelError, match=r"in int8 gives vectors with cosine 0\.99\d\d to those in full; expected at least"
    ):
        Embedder.load(folder, dtype="int8")
