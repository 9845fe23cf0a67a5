"""The loop: it learns, it stops, and a resumed run ends bit by bit as one that never stopped."""

import json
import math
import os
import signal

import pytest
import torch

from slimvec.errors import TrainingError
from slimvec.text.prompts import Prompts
from slimvec.training.step.objective import make_objective
from tests.training import support
from tests.training.support import StopError, stop_after

METHODS = {
    "lora": [],
    "lora with dropout": ["tuning={method: lora, rank: 4, dropout: 0.2}"],
    "lora in bf16": ["tuning={method: lora, rank: 4, fold: false}", "run.dtype=bf16"],
    "full": ["tuning={method: full}"],
    "full in bf16": ["tuning={method: full}", "run.dtype=bf16"],
}


@pytest.fixture(autouse=True)
def _clock_of_steps(monkeypatch):
    """Clocks that tick when they are read tick once a step, not as often as a slow one has layers."""
    monkeypatch.setattr("slimvec.training.run.watching.CLOCK_SECONDS", 1e9)


def settings_and_model(method, *overrides, **spec):
    settings = support.recipe(*METHODS[method], *overrides)
    made = support.model(settings, **spec)
    if settings.run.dtype == "bf16":
        for parameter in made.parameters():
            if settings.tuning.method == "full" or not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
    return settings, made


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("graph_tokens", [0, 4096])
def test_resumed_equals_uninterrupted(tmp_path, method, graph_tokens):
    overrides = ("run.checkpoint_steps=2", f"batch.graph_tokens={graph_tokens}")
    settings, whole = settings_and_model(method, *overrides)
    outcome = support.trainer(tmp_path / "whole", settings, made=whole).run()
    assert (outcome.finished, outcome.progress.step) == (True, 6)
    _, first = settings_and_model(method, *overrides)
    with pytest.raises(StopError):
        support.trainer(tmp_path / "torn", settings, made=first, on_step=[stop_after(5)]).run()
    _, second = settings_and_model(method, *overrides)
    torch.manual_seed(999)
    again = support.trainer(tmp_path / "torn", settings, made=second)
    assert again.resume().step == 4
    assert again.run().progress.tokens == outcome.progress.tokens
    wanted, found = support.trained(whole), support.trained(second)
    assert wanted.keys() == found.keys()
    for name, weight in wanted.items():
        assert torch.equal(found[name], weight), name
    assert steps_in(tmp_path / "torn") == steps_in(tmp_path / "whole") == [1, 2, 3, 4, 5, 6]


def steps_in(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", METHODS)
def test_learns(tmp_path, method):
    overrides = ("run.steps=null", "run.epochs=6", "optim.lr=0.003")
    settings, made = settings_and_model(method, *overrides, prompts=Prompts())
    events = []
    support.trainer(tmp_path, settings, made=made, on_step=[events.append]).run()
    assert len(events) == 24
    assert events[-1].epoch == 6
    assert events[-1].share == 1
    assert sum(e.loss for e in events[-4:]) < 0.3 * sum(e.loss for e in events[:4])
    assert events[-1].positive_cosine - events[-1].random_cosine > 0.4


def test_events_and_metrics_say_the_same(tmp_path):
    events = []
    ticks = iter(range(1000))
    support.trainer(tmp_path, support.recipe(), on_step=[events.append], clock=lambda: float(next(ticks))).run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [event.loss for event in events]
    assert [event.seconds for event in events] == [2, 4, 6, 8, 10, 12]
    assert events[2].tokens_per_s == events[2].tokens / 2
    assert events[2].seconds_left == 6
    assert events[0].lr == pytest.approx(0.01)
    assert events[-1].lr < 0.005


def test_a_run_in_time_keeps_to_it_and_lets_the_rate_fall_to_zero(tmp_path):
    settings = support.recipe("run={max_minutes: 1, seed: 3, dtype: fp32}")
    time, events = [0.0], []

    def clock():
        time[0] += 1.25
        return time[0]

    outcome = support.trainer(tmp_path, settings, on_step=[events.append], clock=clock).run()
    assert outcome.finished
    assert 55 < outcome.progress.seconds <= 60
    assert len(events) > 15
    rates = [event.lr for event in events]
    assert rates[0] > 0
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 0.001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(tmp_path, number):
    before = signal.getsignal(number)

    def interrupt(event):
        if event.step == 3:
            os.kill(os.getpid(), number)

    outcome = support.trainer(tmp_path, support.recipe(), on_step=[interrupt]).run()
    assert not outcome.finished
    assert outcome.progress.step == 3
    assert outcome.checkpoint == tmp_path / "checkpoints" / "step-00000003"
    assert support.trainer(tmp_path, support.recipe()).resume().step == 3
    assert signal.getsignal(number) is before


def test_a_second_signal_means_now(tmp_path):
    def interrupt(_event):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        support.trainer(tmp_path, support.recipe(), on_step=[interrupt]).run()


def test_a_loss_that_is_no_number_stops_the_run_before_it_reaches_the_weights(tmp_path):
    settings = support.recipe()
    made = support.model(settings)
    trainer = support.trainer(
        tmp_path, settings, made=made, objective=lambda batch: make_objective(settings.loss)(batch).scaled(math.nan)
    )
    before = support.trained(made)
    wanted = r"the loss is nan at step 1; expected a finite number; lower optim.lr \(0.01\) or raise loss.temperature"
    with pytest.raises(TrainingError, match=wanted):
        trainer.run()
    assert all(torch.equal(before[name], weight) for name, weight in support.trained(made).items())


def test_checkpoints_of_another_run_are_refused(tmp_path):
    settings = support.recipe("run.checkpoint_steps=1")
    support.trainer(tmp_path, settings).run()
    with pytest.raises(TrainingError, match="are of a run with another recipe or other data; expected the same"):
        support.trainer(tmp_path, settings, run_id="other").resume()


def test_checkpoints_by_time(tmp_path):
    settings = support.recipe("run.checkpoint_minutes=0.05", "run.keep=9")
    ticks = iter(range(1000))
    support.trainer(tmp_path, settings, clock=lambda: float(next(ticks))).run()
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["step-00000002", "step-00000004", "step-00000006"]


def test_resume_without_checkpoints_is_a_start(tmp_path):
    assert support.trainer(tmp_path, support.recipe()).resume() is None


def watching(made, at, do):
    """Have something done when the model runs for the `at`-th time."""
    real, calls = made.forward, []

    def forward(batch):
        calls.append(batch)
        if len(calls) == at:
            do()
        return real(batch)

    made.forward = forward


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_a_stop_within_a_step_leaves_it_and_it_is_taken_again(tmp_path, piece):
    settings = support.recipe("tuning={rank: 4, dropout: 0.2}", "batch.micro_batch_tokens=64", "batch.graph_tokens=0")
    whole, first, second = (support.model(settings) for _ in range(3))
    support.trainer(tmp_path / "whole", settings, made=whole).run()
    watching(first, piece, lambda: os.kill(os.getpid(), signal.SIGTERM))
    outcome = support.trainer(tmp_path / "torn", settings, made=first).run()
    assert (outcome.finished, outcome.progress.step) == (False, 0)
    again = support.trainer(tmp_path / "torn", settings, made=second)
    assert again.resume().step == 0
    assert again.run().finished
    wanted = support.trained(whole)
    assert all(torch.equal(wanted[name], weight) for name, weight in support.trained(second).items())
    assert steps_in(tmp_path / "torn") == [1, 2, 3, 4, 5, 6]


def test_a_first_step_that_takes_longer_than_the_run_may(tmp_path):
    settings = support.recipe("run={max_minutes: 1, dtype: fp32}", "batch.micro_batch_tokens=64")
    time, told = [0.0], []

    def clock():
        time[0] += 25
        return time[0]

    with pytest.raises(
        TrainingError, match=r"run\.max_minutes \(1\) are over within the first step, after \d+ tokens;"
    ):
        support.trainer(tmp_path, settings, clock=clock, notice=lambda text, _share: told.append(text)).run()
    assert told[0] == "step 1"
    assert told[1].startswith("step 1, ")
    assert told[1].endswith(" tokens so far")
