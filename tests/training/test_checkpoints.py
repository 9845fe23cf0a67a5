"""Checkpoints: whole or not at all, the newest kept, torn ones found out."""

import json
import shutil

import pytest
import torch

from slimvec.training.run.checkpoints import Checkpoint, CheckpointStore, Progress


def checkpoint(step):
    return Checkpoint(Progress(run_id="r", step=step, seconds=step / 2), {"w": torch.full((2, 3), float(step))})


def store(folder, *steps, keep=3):
    made = CheckpointStore(folder, keep=keep)
    for step in steps:
        made.save(checkpoint(step))
    return made


def test_comes_back(tmp_path):
    found = store(tmp_path, 1, 12).latest()
    assert found.progress == Progress(run_id="r", step=12, seconds=6.0)
    assert found.tensors["w"].tolist() == [[12.0] * 3] * 2


def test_keeps_the_newest(tmp_path):
    made = store(tmp_path, 1, 2, 9, 10, keep=2)
    assert [path.name for path in made.paths()] == ["step-00000009", "step-00000010"]


def test_none_without_any(tmp_path):
    assert CheckpointStore(tmp_path / "none", keep=1).latest() is None


@pytest.mark.parametrize("harm", ["cut", "flip", "no tensors", "no manifest", "no json", "no progress"])
def test_a_torn_one_is_passed_over_and_removed(tmp_path, harm):
    made = store(tmp_path, 1, 2)
    newest = made.paths()[-1]
    tensors, manifest = newest / "tensors.safetensors", newest / "manifest.json"
    if harm == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    elif harm == "flip":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif harm == "no tensors":
        tensors.unlink()
    elif harm == "no manifest":
        manifest.unlink()
    elif harm == "no json":
        manifest.write_text("{")
    else:
        (newest / "progress.json").unlink()
    assert made.latest().progress.step == 1
    assert [path.name for path in made.paths()] == ["step-00000001"]


def test_changed_counters_are_found_out(tmp_path):
    made = store(tmp_path, 1, 2)
    path = made.paths()[-1] / "progress.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 5}))
    assert made.latest().progress.step == 1


def test_all_torn_is_as_none(tmp_path):
    made = store(tmp_path, 3)
    shutil.rmtree(made.paths()[0])
    made.folder.joinpath("step-00000003").mkdir()
    assert made.latest() is None


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    made = store(tmp_path, 3)
    leftover = tmp_path / ".step-00000003.0123456789ab.partial"
    leftover.mkdir()
    assert made.latest().progress.step == 3
    assert not leftover.exists()
