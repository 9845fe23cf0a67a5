"""From causal to bidirectional within a run: the share of steps, the final mode, and the same coins when resumed."""

import pytest
import torch

from slimvec.model.folder import load_model, save_model
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.schedule import attention_mode
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support

RAMP = ("model={attention: bidirectional}", "run.attention_ramp=0.5")


def test_the_share_of_bidirectional_steps_rises_to_all():
    run = support.recipe(*RAMP).run
    modes = [attention_mode(run, step, step / 4000) for step in range(4000)]
    shares = [modes[start : start + 500].count("bidirectional") / 500 for start in range(0, 2000, 500)]
    assert shares == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8], abs=0.06)
    assert modes[0] == "causal"
    assert set(modes[2000:]) == {"bidirectional"}


def watched(settings):
    """A model that remembers the mode of each training step."""
    made = support.model(settings)
    modes = []
    real = made.attend

    def attend(mode):
        modes.append(mode)
        real(mode)

    made.attend = attend
    return made, modes


def test_resumed_equals_uninterrupted_and_ends_in_the_final_mode(tmp_path):
    settings = support.recipe(*RAMP, "run.steps=8", "run.checkpoint_steps=3", "run.attention_ramp=1")

    class StopError(Exception):
        pass

    def stop(event):
        if event.step == 5:
            raise StopError

    whole, modes = watched(settings)
    support.trainer(tmp_path / "whole", settings, made=whole).run()
    assert modes == [attention_mode(settings.run, step, step / 8) for step in range(8)] + ["bidirectional"]
    assert {"causal", "bidirectional"} == set(modes[:8])
    first, _ = watched(settings)
    with pytest.raises(StopError):
        support.trainer(tmp_path / "torn", settings, made=first, on_step=[stop]).run()
    second, again = watched(settings)
    trainer = support.trainer(tmp_path / "torn", settings, made=second)
    assert trainer.resume().step == 3
    trainer.run()
    assert again == modes[3:]
    assert (second.spec.attention, second.backbone.mode) == ("bidirectional", "bidirectional")
    wanted = support.trained(whole)
    assert all(torch.equal(wanted[name], weight) for name, weight in support.trained(second).items())


def test_a_causal_base_becomes_a_bidirectional_model_that_the_guard_believes(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    rows = "".join(f'{{"query": "{r.query}", "positive": "{r.positives[0]}"}}\n' for r in support.records())
    (tmp_path / "pairs.jsonl").write_text(rows)
    overrides = [f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'pairs.jsonl'}", *RAMP]
    train(parse_recipe(support.RECIPE, overrides=overrides), tmp_path / "out")
    made = load_model(tmp_path / "out")
    assert made.spec.attention == "bidirectional"
    assert not made.backbone.config.is_causal
