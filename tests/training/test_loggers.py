"""Loggers: TensorBoard's files as its own reader sees them, trackio's calls, and packages that are not there."""

import sys
import types

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slimvec import optional
from slimvec.errors import InputError
from slimvec.training.step.events import check_loggers
from tests.training import support


def curve(folder, name):
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(name)]


def test_tensorboard_shows_what_the_metrics_file_holds(tmp_path):
    settings = support.recipe("run.loggers=[tensorboard]", "validation={count: 4, every_steps: 3}")
    events = []
    folder = tmp_path / "out.training"
    given = iter([0.1, 0.2, 0.3])
    support.trainer(
        folder, settings, stage="weak", evaluate=lambda: {"ndcg_at_10": next(given)}, on_step=[events.append]
    ).run()
    losses = curve(folder / "tensorboard" / "out-weak", "loss")
    assert losses == [(event.step, pytest.approx(event.loss)) for event in events]
    scores = curve(folder / "tensorboard" / "out-weak", "validation/ndcg_at_10")
    assert scores == [(0, pytest.approx(0.1)), (3, pytest.approx(0.2)), (6, pytest.approx(0.3))]


def test_trackio_is_told_each_step(tmp_path, monkeypatch):
    calls = []
    fake = types.ModuleType("trackio")
    fake.init = lambda **settings: calls.append(settings)
    fake.log = lambda values, step: calls.append((step, "loss" in values))
    fake.finish = lambda: calls.append("finish")
    monkeypatch.setitem(sys.modules, "trackio", fake)
    monkeypatch.setattr(optional, "find_spec", lambda _name: True)
    support.trainer(tmp_path / "out.training", support.recipe("run.loggers=[trackio]", "run.steps=2")).run()
    assert calls == [
        {"project": "slimvec", "name": "out", "resume": "never", "embed": False}, (1, True), (2, True), "finish",
    ]  # fmt: skip


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda _name: None)
    message = r"run\.loggers: \[trackio\] needs the package trackio, .*pip install 'slimvec\[log\]'"
    with pytest.raises(InputError, match=message):
        check_loggers(["trackio"])
