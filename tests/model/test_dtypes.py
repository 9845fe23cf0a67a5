"""What `auto` stands for: instructions, a measurement that is kept, and a target that rules bfloat16 out."""

import json

import pytest
import torch

from slimvec.model import dtypes, processor
from slimvec.model.cache import cache_root
from slimvec.model.folder import save_model
from slimvec.model.opening import open_model
from tests import tiny

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Let the processor have some instruction sets, and products in bfloat16 take so many times float32's."""
    measurements = []

    def make(sets, factor):
        def measure():
            measurements.append(factor)
            return factor

        monkeypatch.delenv(processor.ISA_VARIABLE, raising=False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "made", **dict.fromkeys(sets, True)})
        monkeypatch.setattr(dtypes, "measure_bf16", measure)
        dtypes._factor.cache_clear()
        return measurements

    yield make
    dtypes._factor.cache_clear()


@pytest.mark.parametrize(
    ("sets", "factor", "expected"),
    [
        (("avx2", "avx512_bf16"), 0.5, torch.bfloat16),
        (("amx_bf16",), 0.2, torch.bfloat16),
        (("bf16",), 1.1, torch.bfloat16),
        (("avx512_f", "avx512_bf16"), 3.0, torch.float32),
        (("avx2", "fma3"), 0.5, torch.float32),
    ],
    ids=["avx512", "amx", "arm", "a library without the instructions", "avx2"],
)
def test_bfloat16_is_chosen_where_the_processor_has_it_and_the_library_is_fast(machine, sets, factor, expected):
    machine(sets, factor)
    assert dtypes.compute_dtype(CPU) == expected
    assert dtypes.compute_dtype(torch.device("cuda")) == torch.bfloat16


def test_a_lower_target_rules_bfloat16_out_and_one_that_has_it_does_not(machine, monkeypatch):
    measured = machine(("avx512_bf16",), 0.5)
    monkeypatch.setenv(processor.ISA_VARIABLE, "avx2")
    assert dtypes.compute_dtype(CPU) == torch.float32
    assert measured == []
    monkeypatch.setenv(processor.ISA_VARIABLE, "avx512_bf16")
    assert dtypes.compute_dtype(CPU) == torch.bfloat16


def test_the_measurement_is_kept_by_processor_and_library(machine, monkeypatch):
    measured = machine(("bf16",), 0.5)
    for _ in range(2):
        dtypes.bf16_factor()
        dtypes._factor.cache_clear()  # as another process would
    assert measured == [0.5]
    monkeypatch.setattr(torch, "__version__", "99")
    dtypes.bf16_factor()
    dtypes._factor.cache_clear()
    machine(("bf16", "sve"), 0.5)
    dtypes.bf16_factor()
    assert measured == [0.5, 0.5, 0.5]
    assert len(list((cache_root() / "dtypes").iterdir())) == 3


def test_a_damaged_record_is_measured_again(machine):
    machine(("bf16",), 0.5)
    dtypes.bf16_factor()
    (path,) = (cache_root() / "dtypes").iterdir()
    path.write_text("{}")
    dtypes._factor.cache_clear()
    assert dtypes.bf16_factor() == 0.5
    assert json.loads(path.read_text())["bf16_factor"] == 0.5


def test_a_slow_dtype_is_told_with_its_factor(machine):
    machine(("avx2",), 52.3)
    expected = "bfloat16 products take 52 times as long as float32 on this processor"
    assert dtypes.slowness(torch.bfloat16, CPU) == expected
    assert dtypes.slowness(torch.float32, CPU) == ""
    assert dtypes.slowness(torch.bfloat16, torch.device("cuda")) == ""


def test_products_are_timed_in_turns_after_one_that_is_not(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "matmul", lambda a, _: calls.append(a.dtype))
    threads = torch.get_num_threads()
    seconds = iter(range(1000))
    factor = dtypes.measure_bf16(side=2, clock=lambda: next(seconds) * 1e-3)
    assert factor == pytest.approx(1)
    assert calls[:4] == [torch.float32, torch.bfloat16] * 2
    assert len(calls) == 16
    assert torch.get_num_threads() == threads


def test_weights_in_16_bits_follow_the_machine_and_float32_is_left_alone(machine, tmp_path):
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny.embedding_model()
        model.backbone.to(dtype)
        save_model(model, tmp_path / str(dtype))
    for sets, expected in [(("avx2",), torch.float32), (("avx512_bf16",), torch.bfloat16)]:
        machine(sets, 0.5)
        assert open_model(tmp_path / "torch.bfloat16").default_dtype(CPU) == expected
        assert open_model(tmp_path / "torch.float32").default_dtype(CPU) == torch.float32
