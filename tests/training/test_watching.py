"""A stop, or the end of the time, within a step or an evaluation: answered between layers, nothing trained is lost."""

import os
import signal
import threading
import time

import pytest
import torch

from slimvec.errors import TrainingError
from slimvec.text.batch import PackedBatch
from slimvec.training.run import watching
from tests.training import support

BIG_STEP = ("tuning={rank: 4, dropout: 0.2}", "batch.micro_batch_tokens=100000", "batch.graph_tokens=100000")


def layers(made):
    return max((part for part in made.modules() if isinstance(part, torch.nn.ModuleList)), key=len)


def on_layer(made, do, *, back=False):
    """Have something done each time the second layer runs, or its gradient does."""

    def behind(_module, _arguments, output):
        if not back:
            do()
        elif output.requires_grad:
            output.register_hook(lambda _: do())

    layers(made)[1].register_forward_hook(behind)


def nth(number, do):
    calls = []

    def count():
        calls.append(None)
        if len(calls) == number:
            do()

    return count


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("back", [False, True], ids=["on the way in", "on the way back"])
def test_a_stop_between_two_layers_leaves_the_step_and_it_is_taken_again(tmp_path, back):
    settings = support.recipe(*BIG_STEP)
    whole, first, second = (support.model(settings) for _ in range(3))
    support.trainer(tmp_path / "whole", settings, made=whole).run()
    ran = []
    on_layer(first, nth(3, terminate), back=back)
    layers(first)[2].register_forward_hook(lambda *_: ran.append(None))
    outcome = support.trainer(tmp_path / "torn", settings, made=first).run()
    assert (outcome.finished, outcome.progress.step) == (False, 2)
    assert len(ran) == (3 if back else 2)
    again = support.trainer(tmp_path / "torn", settings, made=second)
    assert again.resume().step == 2
    assert again.run().finished
    wanted = support.trained(whole)
    assert all(torch.equal(wanted[name], weight) for name, weight in support.trained(second).items())


def test_a_slow_step_is_left_within_two_seconds(tmp_path):
    settings = support.recipe(*BIG_STEP)
    made = support.model(settings)
    for layer in layers(made):
        layer.register_forward_hook(lambda *_: time.sleep(0.4))
    on_layer(made, lambda: time.sleep(60), back=True)
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.7, send)
    timer.start()
    outcome = support.trainer(tmp_path, settings, made=made).run()
    timer.join()
    assert time.monotonic() - sent[0] < 2
    assert (outcome.finished, outcome.progress.step) == (False, 0)


def test_the_time_holds_within_a_step_and_what_was_trained_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "CLOCK_SECONDS", 0)
    settings = support.recipe("run={max_minutes: 1, dtype: fp32}", *BIG_STEP)
    made, now, weights = support.model(settings), [0.0], []

    def tell(_event):
        now[0] += 20
        weights.append(support.trained(made))

    on_layer(made, nth(3, lambda: now.__setitem__(0, 61.0)))
    outcome = support.trainer(tmp_path, settings, made=made, clock=lambda: now[0], on_step=[tell]).run()
    assert (outcome.finished, outcome.progress.step) == (True, 2)
    assert all(torch.equal(weights[-1][name], weight) for name, weight in support.trained(made).items())
    assert any(not torch.equal(weights[0][name], weight) for name, weight in weights[1].items())


def test_time_that_ends_within_the_first_layers_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "CLOCK_SECONDS", 0)
    settings = support.recipe("run={max_minutes: 1, dtype: fp32}")
    made, now = support.model(settings), [0.0]
    on_layer(made, lambda: now.__setitem__(0, 100.0))
    with pytest.raises(TrainingError, match=r"max_minutes \(1\) are over within the first step, after \d+ tokens"):
        support.trainer(tmp_path, settings, made=made, clock=lambda: now[0]).run()


def test_a_stop_within_an_evaluation_is_obeyed_and_it_is_made_up_for(tmp_path):
    settings = support.recipe("validation={share: 0.1, every_steps: 2, metric: score, keep: last}")
    made, again = support.model(settings), support.model(settings)
    evaluated = []

    def evaluate(model, stop_at):
        step = len(evaluated)
        if step == stop_at:
            terminate()
        model(PackedBatch.from_sequences([[5, 6, 7]]))
        evaluated.append(step)
        return {"score": float(step)}

    outcome = support.trainer(tmp_path, settings, made=made, evaluate=lambda: evaluate(made, 1)).run()
    assert (outcome.finished, outcome.progress.step, evaluated) == (False, 2, [0])
    trainer = support.trainer(tmp_path, settings, made=again, evaluate=lambda: evaluate(again, -1))
    trainer.resume()
    outcome = trainer.run()
    assert outcome.finished
    assert len(evaluated) == 4  # before, and after steps 2, 4 and 6
