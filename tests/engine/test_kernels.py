"""The compiled kernels: built once, chosen visibly, and strict about what they are handed."""

import subprocess
import sys

import pytest
import torch

from slimvec.engine.fused import FusedDecoder, UnsupportedError
from slimvec.engine.kernels import build as building
from slimvec.engine.kernels.build import Kernels, load_kernels
from tests.engine.fused_models import assert_close, build
from tests.tiny import VOCABULARY, random_batch

SETTINGS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
}


@pytest.fixture(autouse=True)
def _needs_kernels():
    if not load_kernels().dtypes:
        pytest.skip(f"no kernels: {load_kernels().reason}")


@pytest.fixture
def fresh(monkeypatch):
    """Loads the kernels as a new process would, but never a second library into this one."""
    monkeypatch.setattr(torch.ops, "load_library", lambda path: pytest.fail(f"loaded {path}"))
    return load_kernels.__wrapped__


@pytest.fixture
def kernel_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SLIMVEC_KERNELS", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def use_kernels(monkeypatch, kernels):
    monkeypatch.setattr("slimvec.engine.fused.decoder.load_kernels", lambda: kernels)


def test_without_kernels_torch_is_used_and_says_why(monkeypatch):
    use_kernels(monkeypatch, Kernels((), "no C++ compiler (c++, or $CXX)"))
    model = build("llama", SETTINGS)
    decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32)
    assert (decoder.kernel, decoder.kernel_reason) == ("torch", "no C++ compiler (c++, or $CXX)")
    with pytest.raises(UnsupportedError, match=r"no native kernel in torch.float32: no C\+\+ compiler"):
        FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")


def test_with_kernels_they_are_used(monkeypatch):
    use_kernels(monkeypatch, Kernels((torch.float32,), "the processor has no avx512_bf16"))
    model = build("llama", SETTINGS)
    chosen = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32)
    assert (chosen.kernel, chosen.kernel_reason) == ("native", "")
    half = FusedDecoder.from_backbone(model, causal=True, dtype=torch.bfloat16)
    assert (half.kernel, half.kernel_reason) == ("torch", "the processor has no avx512_bf16")


def test_a_machine_that_lacks_something_gets_the_reason(fresh, kernel_folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(building, "_processor", lambda: frozenset({"fma3", "avx512_f"}))
        assert fresh() == Kernels((), "the processor has no avx512_bw, avx512_vl, avx512_dq")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert fresh() == Kernels((), "no C++ compiler (c++, or $CXX)")
    assert not kernel_folder.exists()
    monkeypatch.setenv("SLIMVEC_KERNELS", "off")
    assert fresh() == Kernels((), "SLIMVEC_KERNELS=off")


def test_sources_that_do_not_compile_leave_nothing(fresh, kernel_folder, monkeypatch, tmp_path):
    (tmp_path / "broken.cpp").write_text("#error these sources are broken\n")
    monkeypatch.setattr(building, "_SOURCES", tmp_path)
    found = fresh()
    assert found.dtypes == ()
    assert found.reason.startswith("the kernels do not compile: ")
    assert "these sources are broken" in found.reason
    assert [path.suffix for path in kernel_folder.iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_a_reason(fresh, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLIMVEC_KERNELS", str(tmp_path / "file" / "kernels"))
    found = fresh()
    assert found.dtypes == ()
    assert "a parent is a file, not a folder" in found.reason


@pytest.mark.usefixtures("kernel_folder")
def test_the_compiler_is_announced(monkeypatch, tmp_path):
    (tmp_path / "broken.cpp").write_text("#error these sources are broken\n")
    monkeypatch.setattr(building, "_SOURCES", tmp_path)
    told = []
    building.compile_kernels(lambda step, share: told.append((step, share)))
    assert told == [("compiling kernels for this processor, once", None)]


def test_two_processes_build_once(tmp_path, kernel_folder):
    """Both start on an empty cache; a small source stands in for the kernels, to be quick."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.cpp").write_text('#include <cstdio>\nextern "C" int one() { return 1; }\n')
    program = (
        "import sys, pathlib, slimvec.engine.kernels.build as b; b._SOURCES = pathlib.Path(sys.argv[1]); "
        "print(b.load_kernels().dtypes != ())"
    )
    command = [sys.executable, "-c", program, str(sources)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=100)[0].strip() for process in running] == ["True", "True"]
    (entry,) = (path for path in kernel_folder.iterdir() if path.is_dir())
    assert [path.name for path in entry.iterdir()] == ["slimvec_kernels.so"]


def test_any_number_of_threads_gives_the_same_states():
    """Cut by chunks, by rows and by columns, with more threads than some of them have work for."""
    model = build("gemma3_text", {**SETTINGS, "head_dim": 16, "sliding_window": 9, "query_pre_attn_scalar": 16})
    before = torch.get_num_threads()
    try:
        for lengths in ([1], [3, 2], [40, 7], [50] * 40, [1500], [1200, 10, 10]):
            batch = random_batch(lengths)
            found = []
            for threads in (1, 2, 3, 7):
                torch.set_num_threads(threads)
                decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")
                found.append(decoder(batch))
            for states in found[1:]:
                assert_close(states, found[0], torch.float32)
    finally:
        torch.set_num_threads(before)


HAS_INT8 = torch.cpu.get_capabilities().get("avx512_vnni", False)
INT8_REFUSAL = "gate_up must have sizes" if HAS_INT8 else "no kernel for weights in int8"
INT8_MISSING = "gate_up is missing" if HAS_INT8 else "no kernel for weights in int8"


def call(**changes):
    """Call the operator of a one-layer decoder with some arguments exchanged."""
    model = build("llama", {**SETTINGS, "num_hidden_layers": 1})
    decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")
    layers = [*decoder._layers._packed[0], torch.ones(16, 4), torch.zeros(16, 4)]
    arguments = {
        "tokens": torch.tensor([1, 2, 3]),
        "lengths": torch.tensor([2, 1]),
        "embedding": decoder._embedding,
        "final_norm": decoder._final_norm,
        "layers": layers,
        "windows": [0],
        "sizes": decoder._layers._sizes,
        "scales": decoder._layers._scales,
        "prefix_keys": None,
        "prefix_values": None,
        "return_kv": False,
    }
    slots = changes.pop("slots", {})
    arguments |= changes
    for slot, tensor in slots.items():
        arguments["layers"][slot] = tensor
    return torch.ops.slimvec.decode(*arguments.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": torch.tensor([1, 2, VOCABULARY])}, f"token {VOCABULARY} is not in the vocabulary of {VOCABULARY}"),
        ({"tokens": torch.tensor([1, -2, 3])}, "token -2 is not in the vocabulary"),
        ({"tokens": torch.tensor([1, 2, 3], dtype=torch.int32)}, "tokens must be Long"),
        ({"lengths": torch.tensor([2, 2])}, "lengths add up to 4, got 3 tokens"),
        ({"lengths": torch.tensor([3, 0])}, "every text needs a token"),
        ({"embedding": torch.ones(VOCABULARY, 31)}, "embedding must have sizes"),
        ({"embedding": torch.ones(32, VOCABULARY).T}, "embedding must be contiguous and on the CPU"),
        ({"final_norm": torch.ones(31)}, "final_norm must have sizes"),
        ({"windows": [0, 0]}, "expected 42 tensors, got 21"),
        ({"windows": [-1]}, "a window must not be negative"),
        ({"sizes": [32, 4, 3, 8, 48, 1, 0]}, "key-value heads must divide query heads"),
        ({"sizes": [32, 4]}, "a shape has 7 sizes and 3 scales"),
        ({"slots": {0: None}}, "input_norm is missing"),
        ({"slots": {1: None}}, "a decoder needs a layer"),
        ({"slots": {5: torch.ones(1, 32, 64, 2)}}, "output must have sizes"),
        ({"slots": {12: torch.ones(2, 16, 64, 2, dtype=torch.float64)}}, "gate_up must be Float, got Double"),
        ({"slots": {12: torch.ones(2, 16, 64, 4, dtype=torch.int8)}}, INT8_REFUSAL),
        ({"slots": {12: torch.ones(2, 8, 64, 4, dtype=torch.int8)}}, INT8_MISSING),
        ({"slots": {19: torch.ones(1, 4)}}, "cosine must have 2 rows or more"),
        ({"prefix_keys": torch.ones(1, 3, 2, 8)}, "a prefix has keys and values"),
        (
            {"prefix_keys": torch.ones(1, 3, 2, 8), "prefix_values": torch.ones(1, 2, 2, 8)},
            "prefix_values must have sizes",
        ),
    ],
)
def test_the_border_checks_what_it_is_handed(changes, message):
    assert call()[0].shape == (3, 32)
    with pytest.raises(RuntimeError, match=message):
        call(**changes)
