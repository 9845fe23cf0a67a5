import json
import shutil

import pytest

from slimvec.cli.evaluate import KEYS
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.evaluation.results import EvaluationResult
from slimvec.evaluation.retrieval import score_bm25, score_retrieval

TOPICS = ("reading a file", "sorting a list", "the time of day", "a random number", "a folder of folders", "an error")


def write_set(folder, *, languages=("en",)):
    folder.mkdir(parents=True)
    corpus, queries, qrels = [], [], []
    for language in languages:
        for number, topic in enumerate(TOPICS):
            name = f"{language}{number}"
            corpus.append({"id": name, "title": topic, "text": f"{topic} in {language}", "lang": language})
            queries.append({"id": name, "text": f"how to do {topic}", "lang": language})
            qrels.append({"query_id": name, "doc_id": name, "score": 1})
    for stem, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_scores_are_the_library_s(slimvec, model, tmp_path):
    folder = write_set(tmp_path / "one")
    result = slimvec("evaluate", "-m", model, "-d", folder, "-o", "r.json", "--json").json
    assert set(result) == set(KEYS)
    dataset = read_retrieval_set(folder)
    expected = score_retrieval(Embedder.load(model), dataset)
    assert result["scores"] == {"one": expected.score.model_dump()}
    assert result["bm25"] == {"one": score_bm25(dataset).score.model_dump()}
    assert result["scores"]["one"]["low"] is result["scores"]["one"]["high"] is None  # six queries give no interval
    task = result["tasks"]["one"]
    assert task["metrics"] == {name: score.model_dump() for name, score in expected.metrics.items()}
    assert (task["num_queries"], task["num_documents"], task["truncated_share"]) == (6, 6, 0.0)
    written = EvaluationResult.read("r.json")
    assert written.model.name == str(model)
    (subset,), (other,) = written.tasks[0].subsets, expected.subsets
    assert (subset.values, subset.other_metrics) == (other.values, other.other_metrics)
    assert subset.prompts == written.model.prompts
    assert subset.prompts["query"].startswith("Instruct: ")


def test_texts_read_twice_are_scored_as_such(slimvec, model, tmp_path):
    folder = write_set(tmp_path / "one")
    result = slimvec("evaluate", "-m", model, "-d", folder, "--echo", "--no-bm25", "--json").json
    embedder = Embedder.load(model, echo=True)
    expected = score_retrieval(embedder, read_retrieval_set(folder))
    assert result["scores"] == {"one": expected.score.model_dump()}
    assert result["model"]["spec"]["echo"] is True
    (tmp_path / "mine.yaml").write_text("{name: mine, tasks: [{name: one, kind: retrieval}]}")
    suite = slimvec("evaluate", "-m", model, "-d", ".", "--suite", "mine.yaml", "--no-cache", "--echo", "--json").json
    assert suite["scores"]["one"]["value"] == pytest.approx(expected.score.value, abs=1e-5)


def test_a_folder_of_sets_and_a_choice_among_them(slimvec, model, tmp_path):
    for name in ("a", "b"):
        write_set(tmp_path / "sets" / name)
    result = slimvec("evaluate", "-m", model, "-d", "sets", "--no-bm25", "--json").json
    assert list(result["scores"]) == ["a", "b"]
    assert result["bm25"] is None
    assert result["output"] is None
    result = slimvec("evaluate", "-m", model, "-d", "sets", "--task-name", "b", "--json").json
    assert list(result["scores"]) == list(result["bm25"]) == ["b"]
    outcome = slimvec("evaluate", "-m", model, "-d", "sets", "--task-name", "c")
    assert (outcome.code, outcome.error) == (2, "error: no set 'c' in sets; expected one of a, b")


def test_languages_are_scored_by_themselves_when_asked(slimvec, model, tmp_path):
    folder = write_set(tmp_path / "two", languages=("en", "de"))
    result = slimvec("evaluate", "-m", model, "-d", folder, "--by-language", "--json").json
    assert list(result["scores"]) == ["two/de", "two/en"]
    assert result["tasks"]["two/de"]["num_documents"] == 6


def test_a_prompt_is_used_without_a_suite_too(slimvec, model, tmp_path):
    write_set(tmp_path / "one")
    (tmp_path / "mine.yaml").write_text("{name: mine, tasks: [{name: one, kind: retrieval}]}")
    asked = ("evaluate", "-m", model, "--query-prompt", "asked: ", "--no-cache", "--json")
    alone = slimvec(*asked, "-d", "one").json
    assert alone["model"]["prompts"]["query"] == "asked: "
    assert alone["scores"] == slimvec(*asked, "-d", ".", "--suite", "mine.yaml").json["scores"]


def test_languages_apart_are_refused_where_they_would_be_passed_over(slimvec, model, tmp_path):
    write_set(tmp_path / "two", languages=("en", "de"))
    outcome = slimvec("evaluate", "-m", model, "-d", "two", "--by-language", "--against", "bm25")
    assert outcome.code == 2
    assert outcome.error.startswith("error: --by-language with tasks of mteb's; expected --data alone, or a suite")


def test_people_see_a_table(slimvec, model, tmp_path):
    folder = write_set(tmp_path / "one")
    outcome = slimvec("evaluate", "-m", model, "-d", folder)
    assert "one: 6 queries, 6 documents\n" in outcome.out
    assert "nDCG@10" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines() if "too few (6)" in line] == [str(model), "BM25"]


def test_what_is_left_out_of_a_set_is_said_and_refused_if_asked(slimvec, model, tmp_path):
    folder = write_set(tmp_path / "one")
    with (folder / "qrels.jsonl").open("a") as file:
        file.write('{"query_id": "en0", "doc_id": "gone", "score": 1}\n')
    outcome = slimvec("evaluate", "-m", model, "-d", folder, "--no-bm25")
    said = "one: 1 judgements of queries or documents that are not there left out\n"
    assert outcome.err == said
    assert "unknown document gone" in slimvec("evaluate", "-m", model, "-d", folder, "--strict").error
    (tmp_path / "mine.yaml").write_text("{name: mine, tasks: [{name: one, kind: retrieval}]}")
    suite = ("evaluate", "-m", model, "-d", ".", "--suite", "mine.yaml", "--no-cache")
    assert said in slimvec(*suite).err  # beside what mteb shows
    assert said in slimvec("evaluate", "-m", "bm25", "-d", folder).err
    assert "unknown document gone" in slimvec(*suite, "--strict").err  # and why no kernels ran, where none do


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "qrels.jsonl").write_text('{"query_id": "en0"}\n'), "one/qrels.jsonl:1: no doc_id"),
        (lambda folder: (folder / "corpus.jsonl").write_text("[]\n"), "one/corpus.jsonl:1: a JSON list"),
        (lambda folder: (folder / "queries.jsonl").unlink(), "one holds no retrieval set"),
    ],
)
def test_bad_sets_are_told_before_the_model_is_loaded(damage, message, slimvec, tmp_path):
    damage(write_set(tmp_path / "one"))
    outcome = slimvec("evaluate", "-m", "no such model", "-d", "one", "-o", "r.json", "--json")
    assert outcome.code == 2
    assert outcome.error.startswith(f"error: {message}")
    assert not (tmp_path / "r.json").exists()


def test_an_existing_output_needs_force(slimvec, model, tmp_path):
    write_set(tmp_path / "one")
    (tmp_path / "r.json").write_text("mine")
    outcome = slimvec("evaluate", "-m", model, "-d", "one", "-o", "r.json")
    assert outcome.code == 2
    assert outcome.error == "error: output r.json exists; expected a new path; pass --force to replace it"
    assert slimvec("evaluate", "-m", model, "-d", "one", "-o", "r.json", "--force").code == 0
    assert [task.task for task in EvaluationResult.read("r.json").tasks] == ["one"]


def test_a_suite_of_one_s_own_is_scored_and_reported(slimvec, model, tmp_path):
    write_set(tmp_path / "sets" / "one")
    (tmp_path / "mine.yaml").write_text("{name: mine, tasks: [{name: one, kind: retrieval}]}")
    arguments = ("evaluate", "-m", model, "-d", "sets", "--suite", "mine.yaml", "--no-cache")
    result = slimvec(*arguments, "-o", "report", "--json").json
    assert set(result) == set(KEYS)
    light = slimvec("evaluate", "-m", model, "-d", "sets", "--json").json
    assert result["scores"]["one"]["value"] == pytest.approx(light["scores"]["one"]["value"], abs=1e-5)
    assert result["tasks"]["one"]["unit"] == "queries"
    assert result["scores"]["one"]["low"] is result["tasks"]["one"]["subsets"]["default"]["high"] is None
    assert (result["bm25"], result["comparison"], result["output"]) == (None, None, "report")
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["plots", "report.html", "report.json", "report.md"]
    assert EvaluationResult.read("report/report.json").suite == "mine"
    outcome = slimvec(*arguments, "-o", "report")
    assert outcome.error == "error: output report exists; expected a new path; pass --force to replace it"
    outcome = slimvec(*arguments)
    assert f"{model}: suite mine, mean " in outcome.out
    assert "6 queries" in outcome.out


def test_a_model_is_not_distinguishable_from_itself(slimvec, model, tmp_path):
    write_set(tmp_path / "one")
    arguments = ("evaluate", "-m", model, "-d", "one", "--against", model)
    result = slimvec(*arguments, "-o", "report", "--json").json
    found = result["comparison"]["tasks"][0]
    assert (found["difference"], found["p_corrected"], found["verdict"]) == (0, 1, "not distinguishable")
    assert found["low"] is found["high"] is None  # six queries
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["against.json", "comparison.json", "plots", "report.html", "report.json", "report.md"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "not distinguishable" in page
    assert "<svg" in page
    assert "| one | " in (tmp_path / "report" / "report.md").read_text()
    assert "not distinguishable" in slimvec(*arguments).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate on; expected --data FOLDER, --suite NAME or --mteb-task NAME"),
        (["--suite", "core", "--mteb-task", "STS13"], "--suite and --mteb-task; expected one of them"),
        (["--suite", "best"], "no suite 'best'; expected a YAML file, or one of core, full, multilingual"),
        (["--suite", "core"], "task cacm has local data; expected its folder; pass --data FOLDER"),
        (["--suite", "core", "--only", "x"], "suite core has no task 'x'; expected one of cacm, cranfield"),
        (["--mteb-task", "STS99"], "mteb has no task 'STS99'; expected a name as mteb writes it, such as STS13"),
    ],
)
def test_what_cannot_be_evaluated_is_told(arguments, message, slimvec, model):
    outcome = slimvec("evaluate", "-m", model, *arguments)
    assert outcome.code == 2
    # Where the model is loaded first, why its engine is not the fastest may be said before.
    assert outcome.err.splitlines()[-1].startswith(f"error: {message}")


def test_a_model_with_modules_that_are_not_served_is_told_the_other_way_which_works(slimvec, model, tmp_path):
    copy = tmp_path / "foreign"
    shutil.copytree(model, copy)
    for name in ("slimvec.json", "golden.json"):
        (copy / name).unlink()
    pooling = json.loads((copy / "1_Pooling" / "config.json").read_text())
    pooling |= {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    folder = write_set(tmp_path / "one")
    ended = slimvec("evaluate", "-m", copy, "-d", folder)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("score it as it is with --backend sentence-transformers")
    ended = slimvec("evaluate", "-m", copy, "-d", folder, "--backend", "sentence-transformers", "--json", "-q")
    assert 0 <= ended.json["scores"]["one"]["value"] <= 1


@pytest.mark.parametrize("command", ["evaluate", "probe"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(command, slimvec, tmp_path):
    folder = write_set(tmp_path / "one")
    (tmp_path / "file").touch()
    error = slimvec(command, "-m", "no-such-model", "-d", folder, "-o", "file/result").error
    assert error.startswith("error: cannot write file/result: a parent is a file, not a folder")


def test_what_cannot_be_a_task_of_mteb_is_wrong_use(slimvec, model):
    outcome = slimvec("evaluate", "-m", model, "--mteb-task", "a/b\x1b[31m", "--json")
    assert outcome.code == 2
    assert outcome.error.startswith("error: tasks 'a/b\\x1b[31m': name: expected pattern")
