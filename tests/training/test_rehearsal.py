"""What fails at the end of a training is found before its first step."""

import builtins
import errno
import json

import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError, StorageError, TrainingError
from slimvec.model import folder as model_folder
from slimvec.model.folder import load_model, save_model
from slimvec.training.run import stages
from slimvec.training.run.training_run import train
from tests import tiny


@pytest.fixture(autouse=True)
def _no_stdin(monkeypatch):
    def refuse(*_):
        raise AssertionError("stdin was read")

    monkeypatch.setattr(builtins, "input", refuse)


def never(_):
    pytest.fail("a step was taken")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def code_base(tmp_path, **changes):
    """A base whose tokenizer and config name code of their own."""
    save_model(tiny.embedding_model(), tmp_path / "code")
    (tmp_path / "code/golden.json").unlink()
    auto_map = {"AutoTokenizer": ["tokenization_evil.EvilTokenizer", None]}
    edit(tmp_path / "code/tokenizer_config.json", auto_map=auto_map, tokenizer_class="EvilTokenizer", **changes)
    edit(tmp_path / "code/config.json", auto_map={"AutoModel": "modeling_evil.EvilModel"})
    for name in ("tokenization_evil", "modeling_evil"):
        (tmp_path / f"code/{name}.py").write_text("raise SystemExit('code of a folder was run')")
    return tmp_path / "code"


def test_code_of_a_base_is_neither_run_nor_asked_for_nor_copied(tmp_path, recipe):
    folder = code_base(tmp_path)
    assert train(recipe(f"base.source={folder}", "run.steps=1"), tmp_path / "out").finished
    Embedder.load(tmp_path / "out")
    for name in ("config.json", "tokenizer_config.json"):
        assert "auto_map" not in json.loads((tmp_path / "out" / name).read_text())
    assert not list((tmp_path / "out").glob("*.py"))


def test_a_tokenizer_that_others_cannot_read_is_found_before_the_first_step(tmp_path, recipe, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("Tokenizer class EvilTokenizer does not exist")

    monkeypatch.setattr(model_folder.AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(ModelError, match=r"cannot read the model's tokenizer: .*EvilTokenizer.*no code of its own"):
        train(recipe(), tmp_path / "out", on_step=[never])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found_before_the_first_step(tmp_path, recipe, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_folder, "write_modules", full)
    with pytest.raises(StorageError, match="no space left on device"):
        train(recipe(), tmp_path / "out", on_step=[never])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("merge", ["true", "false"])
def test_what_is_saved_must_load_as_it_was(tmp_path, recipe, monkeypatch, merge):
    genuine = model_folder.write_golden

    def lie(folder, embed, **settings):
        genuine(folder, lambda texts, role: -embed(texts, role), **settings)

    monkeypatch.setattr(model_folder, "write_golden", lie)
    with pytest.raises(ModelError, match=r"has a cosine of -1\.0000"):
        train(recipe(f"tuning={{rank: 4, merge: {merge}}}"), tmp_path / "out", on_step=[never])
    assert list(tmp_path.iterdir()) == []


def test_the_course_of_a_run_is_as_without_the_rehearsal(tmp_path, recipe, monkeypatch):
    settings = recipe("run.steps=2", "tuning={rank: 4, dropout: 0.1, merge: true}")
    train(settings, tmp_path / "with")
    monkeypatch.setattr(stages, "rehearse_saving", lambda *_, **__: None)
    train(settings, tmp_path / "without")
    first, second = (load_model(tmp_path / name).state_dict() for name in ("with", "without"))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_a_training_that_moved_no_vector_is_no_success(tmp_path, recipe):
    with pytest.raises(TrainingError, match=r"1 steps moved no vector: the trained model is its base"):
        train(recipe("run.steps=1", "optim.lr=1e-12"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
