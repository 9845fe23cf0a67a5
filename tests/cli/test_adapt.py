"""`slimvec adapt`: a folder of documents, a model before and after, and nothing saved that became worse."""

import json
import os
import signal

import pytest

from slimvec.cli import training
from slimvec.cli.adapt import KEYS
from slimvec.cli.adaptation import read_folder
from slimvec.cli.terminal import Terminal
from slimvec.engine.embedder import Embedder
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import LoraSettings
from tests import tiny

ANIMALS = ("badger", "heron", "otter", "weasel", "lizard", "salmon", "falcon", "marten", "beetle", "plover")
RUN = ("--set", "run={steps: 12, dtype: fp32, checkpoint_minutes: 0}", "--set", "objective.step_tokens=600")
QUICK = (*RUN, "--set", "optim.lr=0.01", "--set", "tuning.first_layer=0")


@pytest.fixture
def documents(tmp_path):
    """Files each about one animal, which every sentence names."""
    folder = tmp_path / "documents"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(f"{first}-{second}" for first in ANIMALS[:6] for second in ANIMALS[6:]):
        sentences = [f"{name} {word} {name}. " for word in ("eats", "sees", "likes", "seeks")]
        (folder / ("more" if number % 2 else "") / f"{number}.txt").write_text("".join(sentences))
    (folder / "broken.pdf").write_bytes(b"no pdf")
    return folder


def test_a_model_that_finds_more_is_saved_with_its_report(slimvec, model, documents, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    rows = {
        "corpus": [{"id": name, "text": f"all about the {name}"} for name in ANIMALS],
        "queries": [{"id": name, "text": name} for name in ANIMALS[:9]],
        "qrels": [{"query_id": name, "doc_id": name, "score": 1} for name in ANIMALS[:9]],
    }
    for name, found in rows.items():
        (own / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    ran = slimvec("adapt", "--documents", documents, "-m", model, "-o", "adapted", "--data", own, *QUICK, "--json")
    result = ran.json
    assert set(result) == set(KEYS)
    assert result["method"] == "next-phrase"
    assert result["documents"]["num_files"] == 25
    assert "broken.pdf" in result["documents"]["faults"][0]
    assert "not read" in ran.err
    assert list(result["sets"]) == ["held-out phrases", "own"]
    phrases = result["sets"]["held-out phrases"]
    assert phrases["after"]["value"] > phrases["before"]["value"]
    assert phrases["change"]["value"] == pytest.approx(phrases["after"]["value"] - phrases["before"]["value"])
    assert phrases["change"]["low"] <= phrases["change"]["value"] <= phrases["change"]["high"]
    scores = [result["sets"]["own"][which] for which in ("before", "after", "change")]
    assert [(score["low"], score["high"]) for score in scores] == [(None, None)] * 3  # from nine queries
    assert result["training"]["steps"] == 12
    assert json.loads((tmp_path / "adapted" / "adaptation.json").read_text()) == result
    assert Embedder.load("adapted").dims == 32
    shown = slimvec("search", "otter", "--model", "adapted", "--documents", own / "corpus.jsonl")
    assert shown.code == 0


def test_a_model_that_became_worse_is_not_saved(slimvec, model, documents, only, tmp_path):
    longer = (*QUICK, "--set", "run.steps=60")  # so that there is something to lose, whatever the arithmetic
    assert slimvec("adapt", "--documents", documents, "-m", model, "-o", "good", *longer, "--json").code == 0
    before = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    # Crops that are hardly more than a letter each, learnt far too fast.
    ruin = (
        "--method",
        "crops",
        "--set",
        "objective.shares=[0.01, 0.02]",
        "--set",
        "optim.lr=0.3",
        "--set",
        "optim.clip=0",
        "--set",
        "tuning.first_layer=1",
    )
    ran = slimvec("adapt", "--documents", documents, "-m", "good", "-o", "adapted", *RUN, *ruin, "--json")
    assert ran.code == 1
    assert "the adapted model finds less than the one before: nDCG@10 went from " in ran.err
    assert "it is not saved; expected a gain on one of them; give more documents" in ran.err
    only(*before)


def test_rows_left_out_are_named_and_strict_refuses_what_cannot_be_read(slimvec, model, documents, tmp_path):
    (documents / "rows.jsonl").write_text('{"text": "a row that is read"}\n{"text": ""}\n')
    found = read_folder(Terminal(quiet=True), [documents], field=None)
    assert found.num_files == 26
    assert "a row that is read" in found.texts
    assert any("rows.jsonl: 1 bad rows left out (fields 1)" in fault for fault in found.faults)
    asked = ("adapt", "--documents", documents, "-m", model, "-o", "adapted", "--strict")
    assert "broken.pdf" in slimvec(*asked).error
    (documents / "broken.pdf").unlink()
    assert "rows.jsonl row 2: no text" in slimvec(*asked).error
    (documents / "rows.jsonl").unlink()
    own = tmp_path / "own"
    own.mkdir()
    (own / "corpus.jsonl").write_text('{"id": "d", "text": "a"}\n')
    (own / "queries.jsonl").write_text('{"id": "q", "text": "a"}\n')
    rows = [{"query_id": "q", "doc_id": name, "score": 1} for name in ("d", "gone")]
    (own / "qrels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = slimvec(*asked, "--data", own)
    assert (refused.code, "unknown document gone" in refused.error) == (2, True)


def interrupt_once(monkeypatch, step):
    """Send Ctrl-C after a step, in the first training alone."""
    shown, sent = training._Follower.step, []

    def after(follower, event):
        shown(follower, event)
        if event.step == step and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    monkeypatch.setattr(training._Follower, "step", after)


def test_an_interrupted_adaptation_goes_on(slimvec, model, documents, tmp_path, monkeypatch):
    asked = ("adapt", "--documents", documents, "-m", model, *QUICK)
    whole = slimvec(*asked, "-o", "whole", "--json").json
    interrupt_once(monkeypatch, 5)
    # Within the documents, which are read again without what the command itself keeps there.
    output = documents / "adapted"
    ran = slimvec(*asked, "-o", output)
    assert ran.code == 130
    assert ran.err.splitlines()[-1].endswith(
        f"stopped after step 5; it is saved; run the same command again to go on from {output}.work"
    )
    assert not output.exists()
    error = slimvec(*asked, "-o", output, "--seed", 4, "--json").error
    assert f"work folder {output}.work belongs to a run with another documents, seed, sets" in error
    monkeypatch.setattr("slimvec.cli.adaptation.score_sets", None)  # the scores before are kept too
    result = slimvec(*asked, "-o", output, "--json").json
    for key in ("training", "sets", "documents"):
        assert result[key] == whole[key]
    weights = [(folder / "model.safetensors").read_bytes() for folder in (output, tmp_path / "whole")]
    assert weights[0] == weights[1]
    assert not output.with_name("adapted.work").exists()


def test_a_trained_model_is_not_trained_again(slimvec, model, documents, monkeypatch):
    asked = ("adapt", "--documents", documents, "-m", model, *QUICK, "-o", "adapted", "--work", "kept", "--json")
    result = slimvec(*asked).json
    monkeypatch.setattr("slimvec.cli.adaptation.run_training", None)
    assert slimvec(*asked, "--force").json == result


def test_an_adapter_is_adapted_as_a_model_of_its_own(slimvec, model, documents, tmp_path):
    trained = load_model(model)
    add_lora(trained.backbone, LoraSettings(rank=2), seed=1)
    save_model(trained, tmp_path / "adapter", merged=False)
    ran = slimvec("adapt", "--documents", documents, "-m", tmp_path / "adapter", "-o", "adapted", *QUICK[:-2], "--json")
    assert ran.json["method"] == "next-phrase"
    base, adapted = (Embedder.load(folder).embed_documents(["a heron"]) for folder in (model, "adapted"))
    assert abs(base - adapted).max() > 1e-4


def test_an_encoder_learns_from_crops(slimvec, documents, tmp_path):
    save_model(tiny.embedding_model("bert", "bidirectional"), tmp_path / "encoder")
    asked = ("adapt", "--documents", documents, "-m", tmp_path / "encoder", "-o", "adapted")
    error = slimvec(*asked, "--method", "next-phrase", "--json").error
    assert "--method next-phrase for a model with bidirectional attention and mean pooling; expected a causal" in error
    ran = slimvec(*asked, *QUICK[:4], "--set", "optim.lr=0.003", "--json")
    assert ran.code in (0, 1)  # it may find less, and says so
    assert ran.code == 1 or ran.json["method"] == "crops"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": "A single sentence and no more than this one here."}, "1 passage of 32 tokens or more in 1 text"),
        ({f"{i}.txt": f"{i} sentences and no more than these here." for i in range(9)}, "9 passages of at most 128"),
        ({"a.bin": "x"}, "no text in 0 files of "),
        ({"a.txt": " "}, "no text in 1 file of "),
        (None, "does not exist; expected a file or folder"),
    ],
)
def test_documents_that_are_too_few_are_refused_before_anything_is_trained(slimvec, model, tmp_path, files, message):
    if files is not None:
        (tmp_path / "folder").mkdir()
        for name, text in files.items():
            (tmp_path / "folder" / name).write_text(text)
    ran = slimvec("adapt", "--documents", tmp_path / "folder", "-m", model, "-o", "adapted", "--json")
    assert message in ran.err
    assert ran.code == 2
    assert not (tmp_path / "adapted").exists()


def test_a_wrong_setting_is_refused_before_anything_is_written(slimvec, model, documents, tmp_path):
    before = set(tmp_path.iterdir())
    ran = slimvec("adapt", "--documents", documents, "-m", model, "-o", tmp_path / "adapted", "--set", "nope", "--json")
    assert "override 'nope'; expected section.key=value" in ran.err
    assert ran.code == 2
    assert set(tmp_path.iterdir()) == before


def test_a_link_that_leads_to_itself_is_one_line(slimvec, model, tmp_path):
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    ran = slimvec("adapt", "--documents", tmp_path / "loop.txt", "-m", model, "-o", tmp_path / "adapted", "--json")
    assert ran.code == 2
    assert "loop.txt does not exist; expected a file or folder" in ran.err
