import json
import random

import numpy as np
import pytest

from benchmarks import gpu, memory, startup
from benchmarks.machine import this_machine
from benchmarks.parity import compare
from benchmarks.real_models import misses
from benchmarks.render import render
from benchmarks.results import (
    BenchResult,
    EngineResult,
    Latency,
    Parity,
    RetrievalResult,
    Settings,
    Spread,
    Timing,
    WorkloadResult,
    write_json,
)
from benchmarks.run import parse
from benchmarks.texts import TextPool, joined_to, limit_set, read_pool
from benchmarks.workloads import INSTRUCTION, make_workloads
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.errors import InputError
from slimvec.text.tokenizer import Tokenizer
from tests.tiny import tokenizer_backend

SET = RetrievalSet(
    "set",
    tuple(Document(f"d{number}", f"text {number}") for number in range(6)),
    (Query("q1", "one"), Query("q2", "two"), Query("q3", "three")),
    {"q1": {"d4": 1}, "q2": {"d0": 1, "d1": 1, "d2": 1}, "q3": {"d5": 2, "d1": 0}},
)


@pytest.fixture
def tokenizer():
    return Tokenizer(tokenizer_backend(), max_tokens=512)


@pytest.fixture
def pool():
    rng = random.Random(0)
    words = ["alpha", "beta", "gamma", "delta", "list", "file", "of", "the"]
    short = tuple(f"q{number} {'x' * rng.randint(4, 8)}" for number in range(80))
    long = tuple(f"{number} " + " ".join(rng.choices(words, k=120)) for number in range(80))
    return TextPool("test", short, long, SET)


def test_workloads_have_the_lengths_they_say(pool, tokenizer):
    names = ["queries", "mixed", "documents", "single"]
    queries, mixed, documents, single = make_workloads(names, pool, tokenizer, num_texts=30)
    own = [length - queries.shared for length in queries.lengths]
    assert queries.instructed
    assert queries.shared == len(tokenizer.prompt_ids(INSTRUCTION))
    assert all(8 <= length <= 16 for length in own)
    assert all(8 <= length <= 252 for length in mixed.lengths)
    assert len(set(mixed.texts)) == len(mixed.texts) == 30
    assert len(documents.texts) == 2
    assert all(500 <= length <= 512 for length in documents.lengths)
    assert not any(tokenizer.tokenize(documents.texts).truncated)
    assert single.one_by_one
    assert mixed.num_tokens == sum(tokenizer.tokenize(mixed.texts).lengths)


def test_workloads_are_the_same_every_time(pool, tokenizer):
    one, other = (make_workloads(["mixed"], pool, tokenizer, num_texts=9)[0] for _ in range(2))
    assert one.sha256 == other.sha256


def test_too_few_texts_are_an_error(pool, tokenizer):
    with pytest.raises(InputError, match=r"\d+ texts of 8 to 16 tokens; expected 500"):
        make_workloads(["queries"], pool, tokenizer, num_texts=500)
    with pytest.raises(InputError, match="texts are long enough; expected 500"):
        make_workloads(["mixed"], pool, tokenizer, num_texts=500)


def test_a_retrieval_set_is_cut_without_losing_what_is_relevant():
    cut = limit_set(SET, 3)
    assert [query.id for query in cut.queries] == ["q1", "q3"]
    assert {document.id for document in cut.documents} == {"d4", "d5", "d0"}
    assert cut.qrels == {"q1": {"d4": 1}, "q3": {"d5": 2}}
    assert limit_set(SET, 99).documents == SET.documents


def test_texts_come_from_a_folder_of_sets(tmp_path):
    rows = {
        "corpus": [{"id": d.id, "text": d.text} for d in SET.documents],
        "queries": [{"id": q.id, "text": q.text} for q in SET.queries],
        "qrels": [
            {"query_id": q, "doc_id": d, "score": s} for q, grades in SET.qrels.items() for d, s in grades.items()
        ],
    }
    for name, lines in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pool = read_pool(tmp_path, num_retrieval=4)
    assert sorted(pool.short) == ["one", "three", "two"]
    assert len(pool.long) == 6
    assert len(pool.retrieval.documents) == 4


def test_texts_are_joined_until_they_are_long_enough():
    assert joined_to(["aa", "bb", "cc", "d"], 4) == ["aa\n\nbb"]


def test_parity_finds_the_worst_row():
    one = np.eye(2, dtype=np.float32)
    other = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    found = compare(other, one)
    assert (found.min_cosine, found.mean_cosine) == (pytest.approx(0.8), pytest.approx(0.9))
    assert found.num_texts == 2


def search_result(score):
    return RetrievalResult(
        name="set",
        num_documents=5,
        num_queries=4,
        ndcg_at_10=score,
        reference_ndcg_at_10=0.501,
        difference=score - 0.501,
    )


def a_result():
    timing = Timing(
        tokens_per_s=(900.0, 1100.0),
        gflops=(1.0, 1.0),
        share_of_bf16_peak=0.5,
        share_of_fp32_peak=2.0,
        latency=Latency(median_ms=4.0, p95_ms=9.0, num_calls=60),
    )
    workload = WorkloadResult(
        num_texts=3,
        num_tokens=30,
        mean_tokens=10.0,
        longest=12,
        instruction_tokens=0,
        one_by_one=True,
        sha256="0",
        engines={"slimvec": timing, "st": timing.model_copy(update={"tokens_per_s": (300.0, 500.0)})},
    )
    engine = EngineResult(
        label="slimvec",
        details={"dtype": "bfloat16", "torch": "2"},
        load_seconds=1.0,
        peak_rss_mb=700.0,
        idle_cores=0.0,
        parity=Parity(min_cosine=0.9995, mean_cosine=0.9999, num_texts=4),
    )
    return BenchResult(
        model="m",
        date="2030-01-01",
        machine=this_machine(),
        rounds_done=2,
        settings=Settings(
            engines=("slimvec", "st"),
            rounds=5,
            num_threads=2,
            max_tokens=512,
            instruction="i",
            texts="docs",
            environment={},
        ),
        gemm_gflops={"bfloat16": (900.0, 950.0), "float32": (200.0,)},
        workloads={"single": workload},
        ratios={"single": {"st": Spread(median=2.6, low=2.2, high=3.0)}},
        engines={"slimvec": engine, "st": engine.model_copy(update={"label": "peer"})},
        absent={"llama-cpp": "there is no GGUF file"},
        retrieval=search_result(0.5),
        int8_retrieval=search_result(0.504),
    )


def test_the_report_shows_medians_spreads_and_reasons():
    text = render(a_result())
    assert "| **slimvec** | 1,000 (900 to 1,100) |  | 50% | 200% | 4.0 | 9.0 |" in text
    assert "| peer | 400 (300 to 500) | 2.60 x (2.20 to 3.00) | 50% | 200% | 4.0 | 9.0 |" in text
    assert "2 rounds of 5 asked for" in text
    assert "nDCG@10 0.5000 by slimvec as it comes, 0.5010 by the float32 reference, difference -0.0010." in text
    assert "nDCG@10 0.5040 by slimvec in int8, 0.5010 by the float32 reference, difference +0.0030." in text
    assert "- llama.cpp, GGUF: there is no GGUF file" in text
    assert "0.99950" in text


def test_a_result_is_read_back_as_it_was_and_renders_the_same(tmp_path):
    write_json(a_result(), tmp_path / "r.json")
    again = BenchResult.model_validate_json((tmp_path / "r.json").read_bytes())
    assert again == a_result()
    assert render(again) == render(a_result())


def test_real_models_miss_what_is_below_or_no_number():
    assert misses({"sentence-transformers": 0.9999, "equal ids": 1.0, "llama.cpp": 0.995}) == []
    assert misses({"sentence-transformers": 0.9998, "transformers": float("nan")}) == [
        "sentence-transformers",
        "transformers",
    ]


def test_options_out_of_range_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["--rounds", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_generated_texts_differ():
    assert len(set(memory.generated_texts(2000))) == 2000


def test_startup_is_summed_up():
    runs = [{"total": total, "imports": total / 2, "load": 0.1, "first": 0.1, "exit": 0.3} for total in (1.0, 3.0, 2.0)]
    result = startup.summarise("smollm2-135m", runs)
    assert result.total_seconds == Spread(median=2.0, low=1.0, high=3.0)
    assert result.import_share == 0.5


def test_the_gpu_script_finds_vectors_that_are_off():
    good = gpu.ModeParity(packed_alone=1.0, half_full=0.9999, padded=None, modes_differ=0.9)
    bad = gpu.ModeParity(packed_alone=0.99, half_full=0.9999, padded=float("nan"), modes_differ=1.0)
    assert gpu.parity_failures({"causal": good}) == []
    assert gpu.parity_failures({"causal": bad}) == [
        "causal: packed against alone 0.99000",
        "causal: against padded nan",
        "causal: gives the vectors of the other mode",
    ]
