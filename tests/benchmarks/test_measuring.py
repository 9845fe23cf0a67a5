import pytest

from benchmarks.catalogue import EngineEntry
from benchmarks.engines.gemm import gemm_peaks
from benchmarks.flops import Work
from benchmarks.measuring import Bench, ratios
from benchmarks.processes import WorkerError
from benchmarks.results import Latency, Spread
from benchmarks.workloads import Workload
from slimvec.engine.fused.spec import read_spec

CONFIG = {
    "model_type": "llama",
    "vocab_size": 32,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 12,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "num_hidden_layers": 3,
    "max_position_embeddings": 64,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
}
WORK = Work(read_spec(CONFIG), causal=True)
QUERIES = Workload("queries", ("a", "b"), True, False, (10, 30), 5)
SINGLE = Workload("single", ("a", "b", "c"), False, True, (4, 4, 2), 0)


class FakeWorker:
    """Takes a set time for everything, and notes in a common book whose turn it was."""

    def __init__(self, name, book, seconds, num_computed=None, fails_at=None):
        self.name, self.book, self.seconds = name, book, list(seconds)
        self.num_computed, self.fails_at, self.stopped = num_computed, fails_at, False

    def ask(self, do, **arguments):
        if do == "keep" or arguments["name"] == "warm":
            return {"seconds": 0.0}
        self.book.append(self.name)
        if self.fails_at == len([name for name in self.book if name == self.name]):
            raise WorkerError("it broke")
        if do == "time_each":
            return {"milliseconds": [1.0, 2.0, 7.0]}
        return {"seconds": self.seconds.pop(0), "num_computed": self.num_computed}

    def cpu_seconds(self):
        return 0.25

    def stop(self):
        self.stopped = True


def bench(workers, workloads, peaks=(("bfloat16", 8.0), ("float32", 4.0))):
    entries = {name: EngineEntry(name, "") for name in workers}
    peaks = iter([dict(peaks)] * 99)
    made = Bench(workers, entries, workloads, lambda: next(peaks), lambda _: None)
    made.hand_out()
    return made


def test_engines_take_turns_and_every_second_round_goes_backwards():
    book = []
    workers = {name: FakeWorker(name, book, [1.0] * 9) for name in ("slimvec", "b", "c")}
    made = bench(workers, [QUERIES])
    for number in range(3):
        made.round(number)
    assert book == ["slimvec", "b", "c", "c", "b", "slimvec", "slimvec", "b", "c"]
    assert made.idle.shares() == {"slimvec": 0.0, "b": 0.0, "c": 0.0}


def test_ratios_are_paired_by_round():
    book = []
    workers = {"slimvec": FakeWorker("slimvec", book, [1.0, 4.0, 2.0]), "b": FakeWorker("b", book, [2.0, 4.0, 8.0])}
    made = bench(workers, [QUERIES])
    for number in range(3):
        made.round(number)
    result = made.result(QUERIES, WORK)
    assert result.engines["slimvec"].tokens_per_s == (40.0, 10.0, 20.0)
    assert ratios(result) == {"b": Spread(median=2.0, low=1.0, high=4.0)}
    assert ratios(result, "b") == {"slimvec": Spread(median=0.5, low=0.25, high=1.0)}
    assert ratios(result, "slimvec-int8") == {}


def test_an_engine_that_fails_leaves_with_its_reason_and_all_it_did():
    book = []
    workers = {"slimvec": FakeWorker("slimvec", book, [1.0] * 9), "b": FakeWorker("b", book, [1.0] * 9, fails_at=2)}
    failing = workers["b"]
    made = bench(workers, [QUERIES])
    for number in range(3):
        made.round(number)
    assert made.failed == {"b": "it broke"}
    assert failing.stopped
    assert list(made.result(QUERIES, WORK).engines) == ["slimvec"]
    assert len(made.result(QUERIES, WORK).engines["slimvec"].tokens_per_s) == 3


def test_errors_of_the_harness_itself_are_not_swallowed():
    class Broken(FakeWorker):
        def ask(self, do, **_):
            raise KeyError(do)

    made = Bench({"a": Broken("a", [], [])}, {"a": EngineEntry("a", "")}, [QUERIES], dict, lambda _: None)
    with pytest.raises(KeyError):
        made.hand_out()


def test_latency_counts_every_call():
    made = bench({"slimvec": FakeWorker("slimvec", [], [])}, [SINGLE])
    made.round(0)
    made.round(1)
    timing = made.result(SINGLE, WORK).engines["slimvec"]
    assert timing.latency == Latency(median_ms=2.0, p95_ms=7.0, num_calls=6)
    assert timing.tokens_per_s == (1000.0, 1000.0)


def test_an_engine_runs_only_the_workloads_it_makes_sense_for():
    book = []
    workers = {name: FakeWorker(name, book, [1.0] * 9) for name in ("slimvec", "b")}
    made = bench(workers, [QUERIES, SINGLE])
    made.entries = {"slimvec": EngineEntry("s", ""), "b": EngineEntry("b", "", workloads=("single",))}
    made.round(0)
    assert book == ["slimvec", "slimvec", "b"]


def brute_force(lengths, shared, window):
    """Count products one token at a time."""
    linear = 8 * 8 + 2 * (8 * 4) + 8 * 8 + 3 * 8 * 12
    pairs = sum(
        1
        for length in lengths
        for token in range(shared, shared + length)
        for other in range(token + 1)
        if window is None or token - other < window
    )
    return 3 * (2 * linear * sum(lengths) + 4 * 2 * 4 * pairs)


@pytest.mark.parametrize("shared", [0, 5])
def test_work_is_what_counting_gives(shared):
    assert WORK.of([7, 1, 12], shared=shared) == brute_force([7, 1, 12], shared, None)


def test_work_of_a_sliding_window_is_what_counting_gives():
    config = {**CONFIG, "model_type": "mistral", "sliding_window": 4}
    assert Work(read_spec(config), causal=True).of([9, 3]) == brute_force([9, 3], 0, 4)


def test_work_without_the_instruction_counts_only_what_was_run():
    reused = QUERIES.flops(WORK, reused=True)
    assert reused == WORK.of([5, 25], shared=5)
    assert reused < QUERIES.flops(WORK, reused=False) == WORK.of([10, 30])


def test_a_processor_without_bfloat16_has_no_share_of_its_peak():
    made = bench({"slimvec": FakeWorker("slimvec", [], [1e-6])}, [QUERIES], peaks=(("float32", 4.0),))
    made.round(0)
    timing = made.result(QUERIES, WORK).engines["slimvec"]
    assert timing.share_of_bf16_peak is None
    assert timing.share_of_fp32_peak > 0


def test_the_peak_is_measured_in_what_the_processor_computes_in(monkeypatch):
    for sets, expected in [((), {"float32"}), (("avx512_bf16",), {"float32", "bfloat16"})]:
        monkeypatch.setattr("slimvec.model.dtypes.bf16_is_fast", lambda sets=sets: bool(sets))
        assert gemm_peaks(1, side=8, best_of=1).keys() == expected


def test_shares_count_the_tokens_that_were_run():
    workers = {
        "slimvec": FakeWorker("slimvec", [], [1e-6], num_computed=30),
        "b": FakeWorker("b", [], [1e-6], num_computed=40),
    }
    made = bench(workers, [QUERIES])
    made.round(0)
    engines = made.result(QUERIES, WORK).engines
    assert engines["slimvec"].share_of_bf16_peak == pytest.approx(QUERIES.flops(WORK, reused=True) / 1e3 / 8)
    assert engines["b"].share_of_fp32_peak == pytest.approx(QUERIES.flops(WORK, reused=False) / 1e3 / 4)
