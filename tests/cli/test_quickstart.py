import json
import random
import re
import shlex
import string
from pathlib import Path

import numpy as np
import pytest

from slimvec.cli.quickstart import KEYS, choose_output
from slimvec.data.pydocs import is_held_out
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.results import EvaluationResult
from slimvec.model.cache import cache_root
from slimvec.quickstart.questions import choose_questions

WORDS = ["".join(random.Random(number).choices(string.ascii_lowercase, k=6)) for number in range(40)]
PACKAGES = [f"{word}work" for word in WORDS]
NUM_DOCUMENTS = 8


def write_package(path, generator):
    """A module of three documented functions."""
    functions = []
    for number in range(3):
        summary = " ".join(generator.sample(WORDS, 7))
        body = " ".join(generator.sample(WORDS, 18))
        functions.append(f'def work{number}(target, limit={number}):\n    """Find {summary}.\n\n    {body}.\n    """\n')
    path.write_text("\n\n".join(functions), encoding="utf-8")


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Packages of documented functions, some of them held out."""
    root = tmp_path_factory.mktemp("packages")
    for name in PACKAGES:
        write_package(root / f"{name}.py", random.Random(name))
    assert NUM_DOCUMENTS <= sum(map(is_held_out, PACKAGES)) < len(PACKAGES)
    return root


@pytest.fixture
def arguments(packages, model):
    settings = ["run.max_minutes=null", "run.steps=2", "run.dtype=fp32", "batch.pairs=4", "model.max_tokens=200"]
    settings += ["tuning.first_layer=1", "batch.max_query_tokens=200", "batch.max_document_tokens=200", "tuning.rank=2"]
    return [
        "--base", model, "--root", packages, "--num-documents", NUM_DOCUMENTS,
        *(word for setting in settings for word in ("--setting", setting)),
    ]  # fmt: skip


def test_all_phases_and_what_they_leave(slimvec, arguments, tmp_path):
    result = slimvec("quickstart", *arguments, "--json").json
    assert set(result) == set(KEYS)
    for name in ("raw", "trained", "bm25", "bm25_split"):
        numbers = result[name]
        assert 0 <= numbers["ndcg_at_10"] <= 1
        assert numbers["low"] is numbers["high"] is None  # eight questions give no interval
        written = EvaluationResult.read(tmp_path / "slimvec-quickstart" / "results" / f"{name}.json").tasks[0]
        assert written.score.value == numbers["ndcg_at_10"]
        assert written.num_documents == NUM_DOCUMENTS
    phases = {"fetch", "corpus", "measuring", "raw", "training", "trained", "bm25", "answers"}
    assert set(result["seconds"]) == {*phases, "total"}
    assert result["seconds"]["total"] == pytest.approx(sum(result["seconds"][phase] for phase in phases), abs=1e-3)
    assert result["training"]["steps"] == 2
    assert result["corpus"]["num_documents"] == NUM_DOCUMENTS
    assert [len(answer["hits"]) for answer in result["answers"]] == [3, 3, 3]
    assert result["output"] == "slimvec-quickstart"
    check_answers(result)


def test_the_time_left_is_told_at_the_start_of_each_phase(slimvec, arguments):
    outcome = slimvec("quickstart", *arguments, "--minutes", 0.1)
    lines = outcome.err.splitlines()
    for doing in ("loading ", "reading the doc", "measuring", "scoring the raw", "starting to train", "scoring the tr"):
        assert any(line.startswith(doing) and line.endswith(" left") for line in lines), (doing, lines)
    assert "        chosen for the " in outcome.out
    assert f": {NUM_DOCUMENTS} documents" in outcome.out
    assert re.search(r" the raw model finds them with nDCG@10 [01]\.\d{3}\n", outcome.out)


def check_answers(result):
    """Hits are those of the saved model over the saved documents."""
    embedder = Embedder.load(result["model"])
    lines = Path(result["output"], "heldout", "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in lines]
    questions = [answer["query"] for answer in result["answers"]]
    cosines = embedder.similarity(
        embedder.embed_queries(questions), embedder.embed_documents([document["text"] for document in documents])
    )
    for row, answer in zip(cosines, result["answers"], strict=True):
        best = np.sort(row)[::-1][:3]
        np.testing.assert_allclose([hit["cosine"] for hit in answer["hits"]], best, atol=1e-3)


def test_nothing_held_out_is_trained_on(slimvec, arguments):
    slimvec("quickstart", *arguments, "--json")
    rows = [json.loads(line) for line in find_train().read_text(encoding="utf-8").splitlines()]
    packages = {row["positive"].split(".")[0] for row in rows}
    assert packages == {name for name in PACKAGES if not is_held_out(name)}


def find_train():
    return next(cache_root().glob("corpora/*/train.jsonl"))


def test_the_commands_to_type_next_work_as_printed(slimvec, arguments):
    outcome = slimvec("quickstart", *arguments)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    scores = [line.split()[0] for line in lines if f"too few ({NUM_DOCUMENTS})" in line]
    assert scores == ["raw", "trained", "BM25", "BM25,"]  # eight questions have a score, and no interval worth its name
    start = next(number for number, line in enumerate(lines) if line.startswith("Done in "))
    commands = [shlex.split(line) for line in lines[start + 1 :] if line.strip()]
    assert [command[:2] for command in commands] == [["slimvec", name] for name in ("search", "embed", "evaluate")]
    for command in commands:
        done = slimvec(*command[1:])
        assert (done.code, done.err) == (0, "")
    assert np.load("slimvec-quickstart/vectors.npy").shape == (NUM_DOCUMENTS, 32)


def test_a_second_run_takes_the_next_name_and_reads_nothing_again(slimvec, arguments, monkeypatch):
    first = slimvec("quickstart", *arguments, "--json").json
    monkeypatch.setattr("slimvec.quickstart.corpus.build_doc_corpus", None)
    second = slimvec("quickstart", *arguments, "--json").json
    assert second["output"] == "slimvec-quickstart-2"
    same = ("raw", "trained", "bm25", "training", "corpus", "answers")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}


def test_other_packages_are_read_anew(slimvec, arguments, packages):
    slimvec("quickstart", *arguments, "--json")
    before = find_train()
    path = packages / f"{PACKAGES[0]}.py"
    source = path.read_text()
    path.write_text(source + "\n")
    try:
        slimvec("quickstart", *arguments, "--json")
        assert len(set(before.parents[1].glob("*/train.jsonl"))) == 2
    finally:
        path.write_text(source)


def test_an_existing_output_that_was_asked_for_needs_force(slimvec, arguments, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    outcome = slimvec("quickstart", *arguments, "--output", "mine", "--json")
    assert outcome.code == 2
    assert outcome.error == "error: output mine exists; expected a new path; pass --force to replace it"
    assert slimvec("quickstart", *arguments, "--output", "mine", "--force", "--json").json["output"] == "mine"
    assert not (tmp_path / "mine" / "file").exists()


def test_ctrl_c_leaves_no_half_folder(slimvec, arguments, monkeypatch, only):
    from tests.cli.test_train import stop_after_first_step

    stop_after_first_step(monkeypatch)
    outcome = slimvec("quickstart", *arguments, "--json", "--quiet")
    assert outcome.stopped == (
        "stopped after step 1; only what was fetched and read is kept; start again with: slimvec quickstart"
    )
    only()


def test_too_little_documentation_is_told(slimvec, arguments, only):
    outcome = slimvec("quickstart", *arguments, "--num-documents", 500, "--json", "--quiet")
    assert outcome.code == 2
    assert outcome.error.startswith("error: the installed packages that are held out for scoring have ")
    only()


def test_free_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(choose_output(None, force=False)) == "slimvec-quickstart"
    (tmp_path / "slimvec-quickstart").mkdir()
    (tmp_path / "slimvec-quickstart-2").write_text("")
    assert str(choose_output(None, force=False)) == "slimvec-quickstart-3"
    assert str(choose_output(None, force=True)) == "slimvec-quickstart"
    with pytest.raises(InputError, match="exists"):
        choose_output(tmp_path / "slimvec-quickstart", force=False)


def test_questions_with_an_answer_come_first():
    assert choose_questions({"shutil.move"})[0].startswith("How do I move a file or directory")
    assert len(set(choose_questions(set()))) == 3


def test_questions_are_about_packages_that_are_held_out():
    from slimvec.quickstart import questions

    assert all(is_held_out(name.split(".")[0]) for name, _ in questions._CANDIDATES)
