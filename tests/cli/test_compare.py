"""Studies: every variant trained and scored alike, kept by what it depends on, summed up honestly."""

import json
import math

import pytest
import yaml

from slimvec.cli.compare import KEYS
from slimvec.comparison import runs
from slimvec.comparison import trainings as study_trainings
from slimvec.comparison.layout import write_report
from slimvec.comparison.study import read_study
from slimvec.comparison.study_report import StudyReport
from tests.comparison.support import write_study_data

STUDY = {
    "name": "tiny",
    "question": "Does a pooling | help?",
    "recipe": {
        "data": [{"path": "${data}/pairs.jsonl"}],
        "tuning": {"rank": 2, "alpha": 4},
        "model": {"prompts": {"query": ""}},
        "batch": {"pairs": 4, "max_query_tokens": 60, "max_document_tokens": 60},
        "run": {"steps": 2, "dtype": "fp32", "seed": 0},
    },
    "seeds": [0, 1],
    "reference": "base",
    "variants": {
        "base": {"note": "as it is"},
        "last": {"load": {"pooling": "last"}},
        "hot": {"set": ["loss.temperature=0.5"]},
        "raw": {"trained": False},
    },
    "evaluation": {"sets": ["words"], "max_queries": 6, "max_documents": 8},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, model):
    """A data folder with pairs and a retrieval set, and a study beside it."""
    data = tmp_path / "data"
    write_study_data(data)
    study = {**STUDY, "recipe": {"base": {"source": str(model)}, **STUDY["recipe"]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return data


def compare(slimvec, *more):
    return slimvec("compare", "study.yaml", "--data", "data", "--output", "out", *more)


def test_a_dry_run_says_what_would_run_and_what_it_could_tell(slimvec, tmp_path):
    plan = compare(slimvec, "--dry-run", "--json").json["plan"]
    assert (plan["num_trainings"], plan["num_runs"], plan["num_done"]) == (4, 8, 0)  # two trainings a seed
    assert plan["sets"] == {"words": {"num_queries": 6, "num_documents": 8}}
    assert plan["detectable"] == {}
    assert not (tmp_path / "out").exists()
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**study, "seeds": [0, 1, 2]}))
    out = compare(slimvec, "--dry-run").out
    assert "4 variants, seeds 0, 1, 2: 6 trainings, 12 runs to score, 0 of them done" in out
    assert "differences that 6 queries would show in four cases of five, 3 comparisons corrected together" in out
    spread = {"deviation": 0.007, "seeds": 6, "source": "elsewhere"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**study, "training_spread": spread}))
    assert list(compare(slimvec, "--dry-run", "--json").json["plan"]["detectable"]) == ["0.007"]


def read_report(folder):
    return {p.name: p.read_bytes() for pattern in ("report.*", "plots/*") for p in folder.glob(pattern)}


def change(tmp_path, **changes):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}, sort_keys=False), encoding="utf-8")


@pytest.fixture
def trainings(monkeypatch):
    """Counts trainings."""
    seen = []
    train = study_trainings.train

    def counting(recipe, output, **settings):
        seen.append(recipe)
        return train(recipe, output, **settings)

    monkeypatch.setattr(study_trainings, "train", counting)
    return seen


def test_a_study_is_run_once_and_reported(slimvec, tmp_path, trainings):
    found = compare(slimvec, "--json").json
    assert set(found) == set(KEYS)
    assert len(trainings) == 4  # base and hot with two seeds; last is base's model read otherwise, raw has none
    assert (list(found["rows"]), found["num_missing"]) == (["base", "last", "hot", "raw"], 0)
    assert found["rows"]["base"]["verdict"] == "reference"
    assert not any((tmp_path / "out/models").iterdir())
    report = StudyReport.model_validate_json((tmp_path / "out/report.json").read_bytes())
    assert report.sets == {"words": (6, 8)}
    assert report.study.recipe["data"] == [{"path": "${data}/pairs.jsonl"}]  # no path of this machine
    assert [row.steps for row in report.rows] == [2, 2, 2, 0]
    assert report.rows[0].mean == pytest.approx(sum(report.rows[0].by_seed) / 2)
    text = (tmp_path / "out/report.md").read_text()
    assert "2 training(s) of a variant: another seed moves a score" in text
    assert "![Differences in ndcg_at_10, with 95% intervals](plots/differences.svg)" in text
    page = (tmp_path / "out/report.html").read_text()
    assert (tmp_path / "out/plots/differences.svg").read_text().strip() in page
    assert "<p>Does a pooling | help?</p>" in page
    write_report(tmp_path / "again", report)
    assert read_report(tmp_path / "again") == read_report(tmp_path / "out")

    again = compare(slimvec, "--json").json
    assert (len(trainings), again) == (4, found)


def test_what_is_done_is_kept_and_what_changed_is_run_again(slimvec, tmp_path, trainings):
    change(tmp_path, seeds=[0])
    compare(slimvec, "--json")
    assert len(trainings) == 2
    change(tmp_path, seeds=[0, 1], variants={**STUDY["variants"], "hot": {"set": ["loss.temperature=0.4"]}})
    compare(slimvec, "--json")
    assert len(trainings) == 5  # the other seed twice, and the changed variant with the first


def test_a_stopped_study_goes_on(slimvec, monkeypatch, trainings):
    score, calls = runs.score_retrieval, []

    def failing(*arguments, **settings):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(*arguments, **settings)

    monkeypatch.setattr(runs, "score_retrieval", failing)
    assert compare(slimvec).code == 130
    assert len(trainings) == 2
    report = slimvec("compare", "study.yaml", "-d", "data", "-o", "out", "--report-only", "--json").json
    assert (list(report["rows"]), report["num_missing"]) == (["base", "last"], 6)
    compare(slimvec, "--json")
    assert len(trainings) == 4  # the model that was waiting to be scored was not trained again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "bass"}, "reference 'bass' is not a variant; there are base, last, hot, raw"),
        ({"seeds": [1, 1]}, "seeds [1, 1] name one twice"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"variants": {"base": {}}}, "1 variants: a comparison needs at least two"),
        (
            {"variants": {"base": {}, "x": {"set": ["loss.heat=1"]}}},
            "variant x of study tiny: override 'loss.heat=1': unknown key 'loss.heat'",
        ),
        ({"parts": {"a": {"set": ["loss.focal=1"], "needs": ["b"]}}}, "part 'b' is named and not there; there are a"),
        (
            {"evaluation": {"sets": ["words", "words"]}},
            "evaluation: sets name 'words' twice",
        ),
        ({"evaluation": {"sets": ["words"], "cache_states": math.inf}}, "cache_states: expected a finite number"),
        ({"variants": {"base": {}, "x" * 300: {}}}, "give 1 to 200 printable bytes"),
        ({"seeds": [0, 1 << 63]}, "run.seed is 9223372036854775808; expected less than"),
        ({"question": "${nowhere}"}, "needs the folder nowhere; give it with --folder nowhere=PATH"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(slimvec, tmp_path, changes, message):
    change(tmp_path, **changes)
    outcome = compare(slimvec)
    assert outcome.code == 2
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


def test_factors_are_crossed(slimvec, tmp_path, trainings):
    factors = {
        "pooling": {"mean": [], "last": ["model.pooling.mode=last"]},
        "heat": {"cold": [], "warm": ["loss.temperature=0.1"]},
    }
    change(tmp_path, variants={}, factors=factors, reference="mean/cold", seeds=[3])
    rows = compare(slimvec, "--json").json["rows"]
    assert list(rows) == ["mean/cold", "mean/warm", "last/cold", "last/warm"]
    assert len(trainings) == 4


def test_parts_are_added_alone_and_left_out_of_the_whole(tmp_path):
    parts = {
        "focal": {"set": ["loss.focal=0.5"]},
        "mined": {"set": ["batch.negatives=2"], "when": {"focal": ["batch.negatives=3"]}},
        "mixing": {"set": ["loss.mixing.kind=pair"], "needs": ["mined"]},
    }
    change(tmp_path, variants={"base": {}}, parts=parts)
    study = read_study(tmp_path / "study.yaml", folders={"data": tmp_path})
    assert {name: cell.set for name, cell in study.cells.items()} == {
        "base": (),
        "+focal": ("loss.focal=0.5",),
        "+mined": ("batch.negatives=2",),
        "+mixing": ("batch.negatives=2", "loss.mixing.kind=pair"),
        "all": ("loss.focal=0.5", "batch.negatives=2", "batch.negatives=3", "loss.mixing.kind=pair"),
        "-focal": ("batch.negatives=2", "loss.mixing.kind=pair"),
        "-mined": ("loss.focal=0.5",),
        "-mixing": ("loss.focal=0.5", "batch.negatives=2", "batch.negatives=3"),
    }
    assert {name: study.against(name) for name in ("+focal", "+mixing", "all", "-mined")} == {
        "+focal": "base",
        "+mixing": "+mined",
        "all": "base",
        "-mined": "all",
    }
    assert study.cells["-mined"].note == "all but mined and mixing"
    assert study.recipe_of("all", 0).batch.negatives == 3


def test_shares_of_a_study_make_the_whole(slimvec, trainings):
    first = compare(slimvec, "--part", "1/2", "--json").json
    verdicts = {name: row["verdict"] for name, row in first["rows"].items()}
    assert (verdicts["base"], verdicts["hot"], first["num_missing"]) == ("reference", "not compared", 3)
    assert compare(slimvec, "--part", "2/2", "--json").json["num_missing"] == 0
    assert len(trainings) == 4
    outcome = compare(slimvec, "--part", "3/2")
    assert outcome.error == "error: --part 3/2; expected I/N with I from 1 to N, as in 1/2"


def test_training_on_scored_text_is_refused_before_anything_is_trained(slimvec, tmp_path, trainings):
    with (tmp_path / "data/pairs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"query": "which tree?", "positive": "on trees"}) + "\n")
    refused = compare(slimvec)
    assert refused.code == 2
    assert "of 13 training records" in refused.error
    assert "share text with what is scored, and training meets" in refused.error
    assert "slimvec clean FILES --against SETS" in refused.error
    assert not trainings
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    change(tmp_path, evaluation={**study["evaluation"], "max_shared": 1})
    found = compare(slimvec, "--json").json
    assert found["shared_text"]["num_shared"] == 1
    assert "1 of 13 training records" in (tmp_path / "out/report.md").read_text()


def test_sets_with_faults_are_refused_if_asked(slimvec, folder):
    with (folder / "words/qrels.jsonl").open("a") as file:
        file.write('{"query_id": "q-file", "doc_id": "gone", "score": 1}\n')
    assert "unknown document gone" in compare(slimvec, "--strict").error
    assert compare(slimvec, "--report-only").err.startswith("words: 1 judgements of queries or documents that are not")
