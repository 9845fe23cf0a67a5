"""The compiled kernels: found and chosen visibly, and strict about what they are handed."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from slimvec.engine.fused import FusedDecoder, KeyValues, UnsupportedError
from slimvec.engine.kernels import library as loading
from slimvec.engine.kernels.interface import SLOTS, place
from slimvec.engine.kernels.library import Kernels, available_targets, load_kernels
from slimvec.errors import InputError
from slimvec.text.batch import PackedBatch
from tests.claims import ROOT
from tests.engine.fused_models import ISAS, assert_close, build, use_isa
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


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    use_isa(request.param, monkeypatch)
    return request.param


@pytest.fixture
def package(monkeypatch, tmp_path):
    """An empty place of the library, without sources."""
    monkeypatch.delenv("SLIMVEC_KERNELS", raising=False)  # the reason asked for is the library's, not the switch
    monkeypatch.setattr(loading, "_FOLDER", tmp_path)
    monkeypatch.delenv("SLIMVEC_KERNELS_LIBRARY", raising=False)
    return tmp_path


def use_kernels(monkeypatch, kernels):
    monkeypatch.setattr("slimvec.engine.fused.decoder.load_kernels", lambda: kernels)


def native(**settings):
    model = build("llama", {**SETTINGS, **settings})
    return FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")


def test_without_kernels_torch_is_used_and_says_why(monkeypatch):
    use_kernels(monkeypatch, Kernels((), "no C++ compiler (c++, or $CXX)"))
    model = build("llama", SETTINGS)
    decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32)
    assert (decoder.kernel, decoder.kernel_reason, decoder.isa) == ("torch", "no C++ compiler (c++, or $CXX)", "")
    with pytest.raises(UnsupportedError, match=r"no native kernel in torch.float32: no C\+\+ compiler"):
        FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="native")


def test_with_kernels_they_are_used(isa, monkeypatch):
    found = load_kernels()
    use_kernels(monkeypatch, Kernels((torch.float32,), "no bfloat16", found.target, found.library))
    model = build("llama", SETTINGS)
    chosen = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32)
    assert (chosen.kernel, chosen.kernel_reason, chosen.isa) == ("native", "", isa)
    half = FusedDecoder.from_backbone(model, causal=True, dtype=torch.bfloat16)
    assert (half.kernel, half.kernel_reason) == ("torch", "no bfloat16")


def test_kernels_are_switched_off(monkeypatch):
    monkeypatch.setenv("SLIMVEC_KERNELS", "off")
    assert load_kernels() == Kernels((), "SLIMVEC_KERNELS=off")
    monkeypatch.setenv("SLIMVEC_KERNELS", "/some/folder")
    with pytest.raises(InputError, match="SLIMVEC_KERNELS=/some/folder; expected off"):
        load_kernels()


@pytest.mark.usefixtures("package")
def test_an_install_without_a_library_says_what_is_missing():
    assert load_kernels() == Kernels((), "slimvec_kernels.so is missing; run make kernels")
    assert available_targets() == ()


def test_an_install_without_a_compiler_says_so(package):
    (package / "slimvec_kernels.missing").write_text("no C++ compiler (c++, or $CXX) when slimvec was installed\n")
    assert load_kernels() == Kernels((), "no C++ compiler (c++, or $CXX) when slimvec was installed")


def test_a_file_that_is_no_library_is_a_reason(package):
    (package / "slimvec_kernels.so").write_text("not a library")
    assert load_kernels().reason.startswith("slimvec_kernels.so cannot be loaded: ")


@pytest.mark.skipif(not available_targets(), reason=f"no kernels: {load_kernels().reason}")
def test_a_library_older_than_its_sources_is_named(package):
    shutil.copy(loading.__file__.replace("library.py", "slimvec_kernels.so"), package)
    (package / "target.cpp").write_text("changed")
    assert load_kernels() == Kernels((), "the kernels are older than their sources; run make kernels")


def test_another_instruction_set_than_there_is(isa, monkeypatch):
    lacking = [target for target in load_kernels().library.targets if target.missing]
    monkeypatch.setenv("SLIMVEC_ISA", "sse9")
    with pytest.raises(InputError, match=rf"SLIMVEC_ISA=sse9; expected one of .*\b{isa}\b"):
        load_kernels()
    for target in lacking:
        monkeypatch.setenv("SLIMVEC_ISA", target.name)
        with pytest.raises(InputError, match=f"SLIMVEC_ISA={target.name}: the processor has no {target.missing}"):
            load_kernels()


def test_the_best_there_is_is_taken(isa, monkeypatch):
    assert load_kernels().isa == isa
    monkeypatch.delenv("SLIMVEC_ISA")
    assert load_kernels().isa == available_targets()[0].name


@pytest.mark.usefixtures("isa")
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


@pytest.mark.parametrize("lengths", [[900], [3], [300] * 4], ids=["rows", "columns", "chunks"])
@pytest.mark.usefixtures("isa")
def test_a_call_that_is_told_to_stop_stops(lengths):
    """However work is cut, all threads leave together, and the next call runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    decoder, batch = native(num_hidden_layers=40), random_batch(lengths)
    try:
        expected = decoder(batch)
        stopped = {}

        def stop_at_once(kernels, model, what, *_):
            what.stop = ctypes.pointer(ctypes.c_int32(1))
            stopped["status"], _ = kernels.library.decode(kernels.target, model, what, 3)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("slimvec.engine.fused.native.run_kernel", stop_at_once)
            decoder(batch)
        assert stopped == {"status": 2}
        assert_close(decoder(batch), expected, torch.float32)
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("isa")
def test_ctrl_c_is_heard_within_a_layer(monkeypatch):
    """The kernels run for a minute, were they not told to stop."""
    monkeypatch.setattr("slimvec.engine.kernels.running._LONG", 0)
    decoder = native(num_hidden_layers=2)
    layers, batch = decoder._layers, random_batch([9])
    started = threading.Event()

    class Endless:
        @staticmethod
        def decode(_target, _model, what, _threads):
            started.set()
            while not what.stop.contents.value:
                time.sleep(0.001)
            return 2, ""

    found = load_kernels()
    layers._kernels = Kernels(found.dtypes, "", found.target, Endless())
    main = threading.main_thread().ident
    threading.Thread(target=lambda: (started.wait(), signal.pthread_kill(main, signal.SIGINT))).start()
    begun = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            decoder(batch)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 2


class Starts:
    """Ways in which a signal can cut the start of a thread short."""

    start = threading.Thread.start

    @classmethod
    def running(cls, thread, begun):
        """The thread runs, and is in the kernels."""
        cls.start(thread)
        begun.wait()
        signal.raise_signal(signal.SIGINT)

    @classmethod
    def late(cls, thread, _begun):
        """It begins only when everybody has gone on."""
        cls.start(threading.Timer(0.05, thread.run))
        signal.raise_signal(signal.SIGINT)

    @classmethod
    def never(cls, _thread, _begun):
        """There is none."""
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("way", ["running", "late", "never"])
@pytest.mark.usefixtures("isa")
def test_ctrl_c_while_the_thread_of_a_call_is_started_leaves_none_running(way, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    class Endless:
        @staticmethod
        def decode(_target, _model, what, _threads):
            begun.set()
            give_up = time.monotonic() + 5
            while not what.stop.contents.value and time.monotonic() < give_up:
                time.sleep(0.001)
            if what.stop.contents.value:
                ended.set()
            return 2, ""

    monkeypatch.setattr("slimvec.engine.kernels.running._LONG", 0)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: getattr(Starts, way)(thread, begun))
    decoder, found = native(num_hidden_layers=1), load_kernels()
    decoder._layers._kernels = Kernels(found.dtypes, "", found.target, Endless())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            decoder(random_batch([9]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.wait(0 if way == "never" else 2) == (way != "never")
    assert [thread.name for thread in threading.enumerate() if thread.name == "slimvec-kernels"] == []


@pytest.mark.usefixtures("isa")
def test_a_forked_process_has_threads_of_its_own():
    before = torch.get_num_threads()
    decoder, batch = native(), random_batch([40, 7])
    try:
        torch.set_num_threads(2)
        decoder(batch)
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.isfinite(decoder(batch)).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


THREADS = """
import sys
from pathlib import Path
import torch
from tests.engine.test_kernels import native, random_batch
def threads(): return len(list(Path("/proc/self/task").iterdir()))
decoder, batch = native(), random_batch([40, 7])
torch.set_num_threads(1)
alone = decoder(batch)
torch.set_num_threads(2)
torch.get_num_threads = lambda: 2  # whatever the limit
torch.zeros(1, 64).index_add(0, torch.zeros(4096, dtype=torch.int64), torch.ones(4096, 64))
before = threads()
torch.testing.assert_close(decoder(batch), alone)
sys.exit(10 + threads() - before)
"""


@pytest.mark.skipif(not available_targets(), reason=f"no kernels: {load_kernels().reason}")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted on Linux only")
@pytest.mark.parametrize(("limit", "added"), [("2", 0), ("1", 1)])
def test_threads_are_those_of_torch_or_its_own_where_there_are_too_few(limit, added):
    environment = {**os.environ, "OMP_THREAD_LIMIT": limit, "OMP_NUM_THREADS": limit}
    environment.pop("SLIMVEC_KERNELS", None)
    ran = subprocess.run([sys.executable, "-c", THREADS], cwd=ROOT, env=environment, timeout=120, check=False)
    assert ran.returncode == 10 + added


def call(*, slots=None, batch=None, embedding=None, final_norm=None, past=None, shape=None, windows=None, num_slots=0):
    """Call the library for a one-layer decoder with some arguments exchanged."""
    decoder = native(num_hidden_layers=1)
    layers = decoder._layers
    layers._place_tables(8)
    for name, tensor in (slots or {}).items():
        layers._slots[SLOTS.index(name)] = place(tensor, name)
    for name, value in (shape or {}).items():
        setattr(layers._shape, name, value)
    if windows:
        layers._windows[0] = windows
    if num_slots:
        layers._packed = layers._packed * num_slots
    return layers.run(
        batch or PackedBatch.from_sequences([[1, 2], [3]]),
        decoder._embedding if embedding is None else embedding,
        decoder._final_norm if final_norm is None else final_norm,
        past,
        return_kv=False,
    )[0]


def batch_of(tokens, lengths):
    good = PackedBatch.from_sequences([[1] * max(1, n) for n in lengths])
    return PackedBatch(tokens, good.position_ids, good.cu_seqlens, good.prefix_lengths, tuple(lengths))


def int8_panels(columns):
    return torch.ones(1, 8, columns, 4, dtype=torch.int8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch": batch_of(torch.tensor([1, 2, VOCABULARY]), [2, 1])},
            f"token {VOCABULARY} is not in the vocabulary of {VOCABULARY}",
        ),
        ({"batch": batch_of(torch.tensor([1, -2, 3]), [2, 1])}, "token -2 is not in the vocabulary"),
        ({"batch": batch_of(torch.tensor([1, 2, 3], dtype=torch.int32), [2, 1])}, "tokens must be int64"),
        ({"batch": batch_of(torch.tensor([1, 2, 3]), [2, 2])}, "lengths add up to 4, got 3 tokens"),
        ({"batch": batch_of(torch.tensor([1, 2, 3]), [3, 0])}, "every text needs a token"),
        ({"embedding": torch.ones(VOCABULARY, 31)}, "embedding must have sizes"),
        ({"embedding": torch.ones(32, VOCABULARY).T}, "embedding must be contiguous and on the CPU"),
        ({"embedding": torch.ones(VOCABULARY, 32, device="meta")}, "embedding must be contiguous and on the CPU"),
        ({"final_norm": torch.ones(31)}, "final_norm must have sizes"),
        ({"windows": -1}, "a window must not be negative"),
        ({"shape": {"kv_heads": 3}}, "key-value heads must divide query heads"),
        ({"shape": {"hidden": -2}}, "sizes must be positive"),
        ({"shape": {"width": 1 << 40}}, "sizes must be positive"),
        ({"slots": {"input_norm": None}}, "input_norm is missing"),
        ({"slots": {"qkv": None}}, "qkv is missing"),
        ({"slots": {"output": torch.ones(1, 32, 64, 2)}}, "output must have sizes"),
        ({"slots": {"gate_up": torch.ones(2, 16, 64, 2, dtype=torch.int32)}}, "gate_up must be float32, got int32"),
        ({"slots": {"gate_up": torch.ones(2, 16, 64, 2, dtype=torch.float64)}}, "gate_up must be one of .*float64"),
        ({"slots": {"gate_up": torch.ones(3, 3, dtype=torch.int8)}}, "gate_up must have sizes|no kernel for weights"),
        ({"slots": {"cosine": torch.ones(1, 4)}}, "cosine must have 2 rows or more"),
        (
            {"past": KeyValues(torch.ones(1, 3, 2, 8), torch.ones(1, 2, 2, 8))},
            "prefix_values must have sizes",
        ),
        (
            {"past": KeyValues(torch.ones(1, 3, 2, 8), torch.ones(1, 3, 2, 16)[..., ::2])},
            "prefix_values must be contiguous in every layer",
        ),
        (
            {"past": KeyValues(torch.ones(1, 3, 2, 8), torch.ones(1, 3, 2, 8)), "shape": {"causal": 0}},
            "a prefix has keys and values, and needs a causal model",
        ),
    ],
)
@pytest.mark.usefixtures("isa")
def test_the_border_checks_what_it_is_handed(changes, message):
    assert call().shape == (3, 32)
    with pytest.raises(RuntimeError, match=message):
        call(**changes)


@pytest.mark.usefixtures("isa")
def test_a_final_norm_can_be_left_out():
    decoder = native()
    batch = random_batch([5, 3])
    with torch.inference_mode():
        raw, _ = decoder._layers.run(batch, decoder._embedding, None, None, return_kv=False)
    normed = torch.nn.functional.rms_norm(raw, raw.shape[-1:], decoder._final_norm, decoder.spec.epsilon)
    assert_close(normed, decoder(batch), torch.float32)
