"""`slimvec probe`, and probes in `slimvec train`."""

import json

import pytest

from slimvec.cli.probe import KEYS, _Progress
from slimvec.cli.progress import Task
from slimvec.probes.protocol import skipped
from slimvec.probes.registry import PROBES, choose_probes
from slimvec.probes.results import ProbeReport
from tests.probes import support

CHEAP = ("--only", "attention", "--only", "instruction", "--amount", "tiny")


def test_readings_come_as_a_folder_and_as_json(slimvec, model, tmp_path):
    result = slimvec("probe", "-m", model, *CHEAP, "-o", "out", "--seed", "7", "--json").json
    assert set(result) == set(KEYS)
    assert list(result["readings"]) == ["instruction", "attention"]
    report = ProbeReport.read(tmp_path / "out" / "report.json")
    assert (report.amount, report.seed, report.model.name) == ("tiny", 7, str(model))
    for reading in report.readings:
        found = result["readings"][reading.probe]
        assert found["answer"] == reading.answer
        values = {name: measure["value"] for name, measure in found["measures"].items()}
        assert values == {measure.name: measure.value for measure in reading.measures}
    assert "the model is causal" in result["readings"]["attention"]["answer"]
    assert (tmp_path / "out" / "report.html").is_file()
    assert result["against"] is None
    again = slimvec("probe", "-m", model, *CHEAP, "-o", "out")
    assert (again.code, again.error) == (2, "error: output out exists; expected a new path; pass --force to replace it")
    assert slimvec("probe", "-m", model, *CHEAP, "-o", "out", "--force").code == 0


def test_people_see_a_table_and_the_answers(slimvec, model):
    outcome = slimvec("probe", "-m", model, *CHEAP)
    assert outcome.code == 0, outcome.err
    assert "main measure" in outcome.out
    assert "attention: Changing a token moves" in outcome.out
    assert "instruction: nDCG@10 is" in outcome.out


def test_two_models_stand_side_by_side(slimvec, model, tmp_path):
    arguments = ("--only", "attention", "--amount", "tiny", "--against", model, "-o", "out", "--json")
    result = slimvec("probe", "-m", model, *arguments).json
    assert result["against"]["readings"]["attention"]["measures"] == result["readings"]["attention"]["measures"]
    assert (tmp_path / "out" / "against.json").is_file()
    assert "not distinguishable" in (tmp_path / "out" / "report.md").read_text()


def test_what_a_model_does_not_bear_is_left_out(slimvec, model):
    arguments = (*CHEAP, "--through", "sentence-transformers", "--json")
    found = slimvec("probe", "-m", model, *arguments)
    assert "--through is now called --backend; the old name works until the next release" in found.err.splitlines()
    readings = found.json["readings"]
    assert readings["attention"]["skipped"].startswith("the states of tokens are not to be had")
    assert readings["attention"]["measures"] == {}
    ours = slimvec("probe", "-m", model, *CHEAP, "--json").json["readings"]["instruction"]["measures"]
    theirs = readings["instruction"]["measures"]
    assert theirs.keys() == ours.keys()
    for name, measure in theirs.items():
        assert measure["value"] == pytest.approx(ours[name]["value"], abs=1e-3)


def test_a_second_run_embeds_nothing_and_no_cache_leaves_nothing(slimvec, model, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMVEC_CACHE", str(tmp_path / "cache"))
    arguments = ("probe", "-m", model, "--only", "instruction", "--amount", "tiny", "--json")
    first = slimvec(*arguments, "--no-cache").json["readings"]["instruction"]
    assert not list(tmp_path.glob("cache/vectors/*.sqlite"))
    assert slimvec(*arguments).json["readings"]["instruction"]["measures"] == first["measures"]
    monkeypatch.setattr("slimvec.engine.embedder.Embedder.embed", None)
    assert slimvec(*arguments).json["readings"]["instruction"]["measures"] == first["measures"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "smell"), "error: no probe 'smell'; expected one of "),
        (("--data", "nowhere"), "error: no folder nowhere; expected a folder that exists"),
        (("--text-file", "nowhere.txt"), "error: no file nowhere.txt; expected a file that exists"),
    ],
)
def test_wrong_use_is_one_line(slimvec, model, arguments, message):
    outcome = slimvec("probe", "-m", model, *arguments)
    assert outcome.code == 2
    assert outcome.error.startswith(message)


def test_a_model_that_is_not_there_leaves_nothing(slimvec, tmp_path):
    outcome = slimvec("probe", "-m", "./nothing", "-o", "out")
    assert outcome.code == 2
    assert not (tmp_path / "out").exists()


@pytest.fixture
def recipe(model, tmp_path):
    rows = [{"query": f"question {n} of {chr(97 + n)}", "positive": f"answer {n} {chr(97 + n) * 5}"} for n in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sections = {
        "base": {"source": str(model)},
        "data": [{"path": "pairs.jsonl"}],
        "batch": {"pairs": 4, "max_query_tokens": 200},
        "run": {"steps": 2, "dtype": "fp32"},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(sections))
    return tmp_path / "recipe.yaml"


def test_training_logs_what_a_probe_measures(slimvec, recipe, tmp_path):
    section = "validation={count: 4, every_steps: 2}"
    outcome = slimvec("train", recipe, section, "--probe", "instruction", "--probe", "order", "-o", "out")
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    measured = [line["measures"] for line in lines if "measures" in line]
    assert len(measured) == 2
    assert {"ndcg_at_10", "order/accuracy", "order/accuracy/role_swap", "instruction/change/missing"} <= set(
        measured[0]
    )
    assert measured[0].keys() == measured[1].keys()
    assert not any(name.count("/") > 2 for name in measured[0])


def test_probes_in_training_want_a_section_and_a_name(slimvec, recipe, tmp_path):
    outcome = slimvec("train", recipe, "--probe", "instruction", "-o", "out")
    assert (outcome.code, outcome.error) == (
        2,
        "error: --probe instruction with a recipe that evaluates nothing; expected a section validation, which says "
        "when; add validation={share: 0.02} or the like",
    )
    outcome = slimvec("train", recipe, "validation={count: 4}", "--probe", "smell", "--dry-run")
    assert outcome.error.startswith("error: no probe 'smell'; expected one of ")
    outcome = slimvec("train", recipe, "validation={count: 4}", "--probe", "attention", "-o", "out")
    assert outcome.code == 2
    assert "probe attention cannot be run in training: the states of tokens are not to be had" in outcome.error
    assert not (tmp_path / "out").exists()


def test_the_help_names_the_probes(slimvec):
    for command in ("probe", "train"):
        text = " ".join(slimvec(command, "--help").out.split())
        assert all(name in text for name in PROBES)


def test_progress_counts_tokens_and_leaves_out_what_is_left_out():
    probes = choose_probes(["order", "instruction", "attention"])
    task = Task("probing", total=1.0)
    progress = _Progress(task, "m", probes, "full")
    order, attention = PROBES["order"], PROBES["attention"]
    progress.begin(probes[0])
    progress.embedded(order.num_texts // 2)
    everything = sum(PROBES[probe.name].num_tokens for probe in probes)
    assert task.completed == pytest.approx(0.5 * order.num_tokens / everything)
    progress.embedded(order.num_texts)  # more than foreseen is not more than all
    assert task.completed < order.num_tokens / everything
    progress.end(support.result("order"))
    progress.begin(probes[1])
    progress.end(skipped(probes[1], "no instruction"))
    assert task.completed == pytest.approx(order.num_tokens / (order.num_tokens + attention.num_tokens))
    progress.begin(probes[2])
    progress.embedded(1)
    progress.end(support.result("attention"))
    assert task.completed == 1
    assert task.detail == f"{order.num_texts // 2 + order.num_texts + 1:,} texts"
