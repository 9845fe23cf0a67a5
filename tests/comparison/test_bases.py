"""Bases that a study trains, sweeps on shared states, equal tokens."""

import json
import shutil

import numpy as np
import pytest

from slimvec.comparison.layout import markdown, report_blocks
from slimvec.comparison.plan import Material, plan_runs
from slimvec.comparison.runs import run_study, stored_results
from slimvec.comparison.study_report import StudyReport, make_report
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.reports.blocks import Picture, to_html
from tests.comparison.conftest import STUDY

NEW = {
    "base": {
        "shape": {"hidden": 16, "layers": 2, "heads": 2, "intermediate": 24, "max_positions": 64},
        "tokenizer": {"vocabulary": 262},
    },
    "model": {"attention": "causal", "max_tokens": 60, "prompts": {"query": ""}},
    "tuning": {"method": "full"},
    "data": [{"path": "${data}/pairs.jsonl"}],
    "adaptation": {"objective": "next-token", "max_tokens": 60, "step_tokens": 60},
    "run": {"tokens": 120, "dtype": "fp32"},
}
ENCODER = {
    **NEW,
    "model": {**NEW["model"], "attention": "bidirectional"},
    "adaptation": {**NEW["adaptation"], "objective": "masked-token"},
}
TWINS = {
    "bases": {"decoder": NEW, "encoder": ENCODER},
    "recipe": {
        **STUDY["recipe"],
        "base": {"source": "${base:decoder}"},
        "model": {"max_tokens": 60, "prompts": {"query": ""}},
        "tuning": {"method": "full"},
        "run": {"tokens": 100, "dtype": "fp32"},
    },
    "variants": {
        "mean": {},
        "last": {"set": ["model.pooling=last"]},
        "encoder": {"set": ["base.source=${base:encoder}"]},
        "opened": {"set": ["model.attention=bidirectional", "run.attention_ramp=0.5"]},
        "raw": {"trained": False, "set": ["base.source=${base:encoder}"]},
    },
    "reference": "mean",
    "equal": "tokens",
}
FEW = {**TWINS, "variants": {name: TWINS["variants"][name] for name in ("mean", "encoder", "raw")}}
SWEEP = {"pooling": [{"mode": "beta", "beta": 0}, {"mode": "beta", "beta": 2}, "last"]}


def run(study, data, folder, watcher, **settings):
    return list(run_study(Material.read(study, data), folder, watcher=watcher, **settings))


def test_a_base_is_trained_once_a_seed_for_all_that_start_from_it(study, data, tmp_path, quiet):
    twins = study(**TWINS, seeds=[0, 1])
    results = run(twins, data, tmp_path / "out", quiet)
    names = ("decoder", "mean", "last", "encoder", "encoder", "opened")  # each encoder once, the base and the variant
    assert quiet.trained == [(name, seed) for seed in (0, 1) for name in names]
    assert all(120 <= result.base_tokens < 180 for result in results)
    assert [result.tokens for result in results if result.variant == "raw"] == [0, 0]
    by_run = {(result.variant, result.seed): result for result in results}
    assert by_run["raw", 0].tasks[0].subsets != by_run["raw", 1].tasks[0].subsets  # bases of their own
    assert not any((tmp_path / "out/models").iterdir())
    report = make_report(twins, stored_results(Material.read(twins, data), tmp_path / "out"))
    (line,) = (line for line in markdown(report).splitlines() if line.startswith("| mean | 0."))
    assert f"| {report.rows[0].base_tokens:,} + {report.rows[0].tokens:,} |" in line
    assert report.study.recipe["base"] == {"source": "${base:decoder}"}


def test_a_base_that_is_there_is_not_trained_again(study, data, tmp_path, quiet):
    run(study(**FEW), data, tmp_path / "out", quiet, keep_models=True)
    num_trained = len(quiet.trained)
    more = {**FEW, "variants": {**FEW["variants"], "weighted": {"set": ["model.pooling=weighted"]}}}
    run(study(**more), data, tmp_path / "out", quiet, keep_models=True)
    assert quiet.trained[num_trained:] == [("weighted", 0)]


def test_runs_of_a_base_are_in_one_part(study, data, tmp_path, quiet):
    twins = study(**FEW)
    first = {r.variant for r in run(twins, data, tmp_path / "out", quiet, part=(1, 2))}
    second = {r.variant for r in run(twins, data, tmp_path / "out", quiet, part=(2, 2))}
    assert (first, second) == ({"mean"}, {"encoder", "raw"})


def test_another_base_is_another_run(study):
    keys = [run.training.key for run in plan_runs(study(**TWINS))]
    assert len(set(keys)) == 5
    changed = {**NEW, "adaptation": {**NEW["adaptation"], "step_tokens": 61}}
    again = [
        run.training.key for run in plan_runs(study(**{**TWINS, "bases": {"decoder": changed, "encoder": ENCODER}}))
    ]
    assert [one == two for one, two in zip(keys, again, strict=True)] == [False, False, True, False, True]


def test_other_weights_in_the_bases_folder_are_another_run(study, tmp_path, models):
    shutil.copytree(models / "tiny", tmp_path / "own")
    recipe = {**STUDY["recipe"], "base": {"source": str(tmp_path / "own")}}
    first, again = ([run.training.key for run in plan_runs(study(recipe=recipe))] for _ in range(2))
    path = tmp_path / "own/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    changed = [run.training.key for run in plan_runs(study(recipe=recipe))]
    assert first == again
    assert not {*first} & {*changed}


def test_other_weights_in_a_teachers_folder_are_another_run(study, tmp_path, models):
    shutil.copytree(models / "tiny", tmp_path / "teacher")
    recipe = {**STUDY["recipe"], "loss": {"distill": {"teacher": str(tmp_path / "teacher")}}}
    first = {run.variant: run.training.key for run in plan_runs(study(recipe=recipe))}
    path = tmp_path / "teacher/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    changed = {run.variant: run.training.key for run in plan_runs(study(recipe=recipe))}
    assert [name for name in first if first[name] != changed[name]] == ["base"]  # the untrained one has no teacher


def test_data_of_stages_is_part_of_the_key(study, data):
    staged = {**STUDY["recipe"], "stages": [{"name": "first", "data": [{"path": "${data}/pairs.jsonl"}]}]}
    del staged["data"]
    first = plan_runs(study(recipe=staged))[0].training.key
    (data / "pairs.jsonl").write_text('{"query": "a", "positive": "b"}\n{"query": "c", "positive": "d"}\n')
    assert plan_runs(study(recipe=staged))[0].training.key != first


def test_a_sweep_computes_states_once_and_equals_each_pooling(study, data, tmp_path, quiet, monkeypatch):
    calls = []
    embed = Embedder.embed_poolings
    monkeypatch.setattr(Embedder, "embed_poolings", lambda *a, **k: calls.append(k["role"]) or embed(*a, **k))
    swept = study(sweep=SWEEP, seeds=[0, 1])
    results = run(swept, data, tmp_path / "swept", quiet)
    assert quiet.trained == [("base", 0), ("base", 1)]
    assert calls == ["document", "query"] * 3  # two trained models, and the untrained one once for both seeds
    assert [r.variant for r in results if r.seed == 0] == [
        *("base", "raw", "base@beta=0", "base@beta=2", "base@last"),
        *("raw@beta=0", "raw@beta=2", "raw@last"),
    ]
    alone = study(
        variants={**STUDY["variants"], "x": {"load": {"pooling": "last"}}, "y": {"load": {"pooling": "mean"}}},
        seeds=[0],
    )
    by_variant = {r.variant: r.tasks[0].subsets for r in run(alone, data, tmp_path / "alone", quiet)}
    found = {r.variant: r.tasks[0].subsets for r in results if r.seed == 0}
    assert found["base@last"] == by_variant["x"] != by_variant["y"] == found["base@beta=0"] == found["base"]


def test_the_report_has_curves_and_predictions(study, data, tmp_path, quiet):
    checks = [
        {"name": "the base wants the mean", "best_beta": 0, "of": ["base"]},
        {"name": "more mixing, more beta", "rises_with": "mixing", "of": ["base", "raw", "other"]},
    ]
    variants = {**STUDY["variants"], "other": {"set": ["model.pooling=last"]}}
    swept = study(sweep=SWEEP, checks=checks, variants=variants)
    results = run(swept, data, tmp_path / "out", quiet)
    assert {r.variant for r in results if r.mixing is not None} == {"base", "raw", "other"}
    report = make_report(swept, results)
    assert [row.variant for row in report.rows] == ["base", "raw", "other"]
    assert [model.variant for model in report.swept] == ["base", "raw", "other"]
    assert report.swept[0].names == ("beta=0", "beta=2", "last")
    assert [check.name for check in report.checks] == [check["name"] for check in checks]
    written = report.model_dump_json()
    assert StudyReport.model_validate_json(written).model_dump_json() == written
    text, pictures = markdown(report), [block for block in report_blocks(report) if isinstance(block, Picture)]
    assert "| model | beta=0 | beta=2 | last | best | best beta | over beta 0 | mixing |" in text
    assert "| the base wants the mean | " in text
    assert [picture.name for picture in pictures] == ["differences", "poolings"]
    assert "ndcg_at_10 over beta" in pictures[1].svg


def test_a_sweep_without_two_betas_has_a_table_and_no_curves(study, data, tmp_path, quiet):
    swept = study(sweep={"pooling": ["last", {"mode": "beta", "beta": 1}]})
    report = make_report(swept, run(swept, data, tmp_path / "out", quiet))
    assert "| model | last | beta=1 | best |" in markdown(report)
    assert [block.name for block in report_blocks(report) if isinstance(block, Picture)] == ["differences"]


def test_tokens_that_are_not_equal_are_told(study, data, tmp_path, quiet):
    twins = study(**FEW)
    results = run(twins, data, tmp_path / "out", quiet)
    assert not make_report(twins, [r.model_copy(update={"tokens": min(r.tokens, 1)}) for r in results]).warnings
    changed = [r.model_copy(update={"tokens": 103 if r.variant == "encoder" else r.tokens and 100}) for r in results]
    warnings = make_report(twins, [r.model_copy(update={"base_tokens": 120}) for r in changed]).warnings
    assert warnings == ("Tokens are not equal: encoder was trained on 103, mean on 100, more than 2% apart.",)
    report = make_report(twins, [r.model_copy(update={"base_tokens": 120}) for r in changed])
    assert f"**{warnings[0]}**" in markdown(report)
    assert warnings[0] in to_html("t", report_blocks(report))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"variants": {"base": {}, "x": {"set": ["run={steps: 2}"]}}, "reference": "base"},
            "variant x is not of a length",
        ),
        (
            {"variants": {"base": {}, "x": {"set": ["run.tokens=99"]}}, "reference": "base"},
            "variant x is trained by 99",
        ),
        (
            {"bases": {"decoder": NEW, "encoder": {**ENCODER, "run": {"tokens": 7}}}},
            "base encoder is trained by 7; expected 120, as base decoder",
        ),
        ({"bases": {"decoder": NEW}}, "has no base encoder; expected one of decoder"),
        ({"bases": {}}, "has no base decoder; expected a section bases"),
        ({"bases": {"decoder": {"base": {"source": "x"}}, "encoder": ENCODER}}, "base decoder of study tiny: "),
        ({"sweep": SWEEP | {"variants": ["nobody"]}}, "variant 'nobody' is named and not there"),
        ({"sweep": {"pooling": ["last", "last"]}}, "sweep has last twice"),
        (
            {"sweep": {"pooling": ["mean", {"mode": "beta", "beta": 0}]}},
            "sweep has beta 0 twice, as mean and beta=0; a curve has each once",
        ),
        ({"factors": {"pooling": {"mean": [], "last": []}}}, "two variants are named 'mean'"),
        (
            {"variants": {**TWINS["variants"], "a/b": {}, "a+b": {}}},
            "two variants are named 'a+b', or would share that file",
        ),
        (
            {"recipe": NEW, "variants": {"mean": {}, "raw": {"trained": False}}, "bases": {}},
            "variant raw of study tiny is untrained and starts from a shape; expected a base with weights: base.source",
        ),
        (
            {"checks": [{"name": "c", "best_beta": 0, "of": ["mean"]}]},
            "check 'c' needs a sweep over at least two finite",
        ),
        (
            {"sweep": SWEEP, "checks": [{"name": "c", "best_beta": 1, "of": ["mean"]}]},
            "two finite betas, 1 among them",
        ),
        (
            {"sweep": SWEEP | {"variants": ["last"]}, "checks": [{"name": "c", "best_beta": 0, "of": ["mean"]}]},
            "checks are about 'mean', which the sweep leaves out",
        ),
        ({"sweep": SWEEP, "checks": [{"name": "c", "of": ["mean"]}]}, "check 'c': give one of best_beta, rises_with"),
        ({"sweep": SWEEP, "checks": [{"name": "c", "rises_with": "mixing", "of": ["mean"]}]}, "1 models show no order"),
    ],
)
def test_what_makes_no_sense_is_refused(study, changes, message):
    with pytest.raises(InputError) as error:
        study(**{**TWINS, **changes})
    assert message in str(error.value)


def test_a_stopped_sweep_keeps_what_it_has(study, data, tmp_path, quiet):
    swept = study(sweep=SWEEP)
    run(swept, data, tmp_path / "out", quiet)
    (tmp_path / "out/runs/base@beta=2-0.json").unlink()
    run(swept, data, tmp_path / "out", quiet)
    assert quiet.begun == [("base", 0), ("raw", 0), ("base@beta=2", 0)]
    assert quiet.trained == [("base", 0), ("base", 0)]  # its model was gone
    stored = json.loads((tmp_path / "out/runs/base@beta=2-0.json").read_text())
    assert np.isfinite(stored["tasks"][0]["score"]["value"])
