"""Queries without their instruction: as many as asked for, decided by seed, step and record alone."""

import json
import os
import signal

import pytest
import torch

from slimvec.errors import InputError
from slimvec.model.folder import load_model, save_model
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.contrastive import drop_instructions
from tests import tiny
from tests.training import support
from tests.training.test_collation import RECORDS, collator, read


def test_the_share_is_as_asked_and_none_is_touched_at_zero():
    numbers = range(20_000)
    assert not any(drop_instructions(numbers, share=0.0, seed=1, step=2))
    assert all(drop_instructions(numbers, share=1.0, seed=1, step=2))
    for share in (0.1, 0.5):
        found = sum(drop_instructions(numbers, share=share, seed=1, step=2)) / len(numbers)
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / len(numbers)) ** 0.5)


def test_a_draw_depends_on_seed_step_and_record_and_not_on_the_others():
    whole = drop_instructions(range(100), share=0.5, seed=1, step=2)
    assert drop_instructions([7, 3], share=0.5, seed=1, step=2) == [whole[7], whole[3]]
    assert drop_instructions(range(100), share=0.5, seed=1, step=3) != whole
    assert drop_instructions(range(100), share=0.5, seed=2, step=2) != whole


def test_a_smaller_share_is_part_of_a_larger_one():
    few, many = (drop_instructions(range(500), share=share, seed=1, step=2) for share in (0.2, 0.6))
    assert all(more for less, more in zip(few, many, strict=True) if less)


def test_queries_lose_their_prompt_and_documents_keep_theirs():
    backend, collate = collator()
    told = collate(RECORDS, epoch=0)
    texts = collate(RECORDS, epoch=0, without_prompt=[True, False, True])
    decoded = [read(backend, row) for row in texts.tokenized.sequences]
    assert decoded[:3] == ["one", "two", "three"]
    assert texts.tokenized.prefix_lengths[:3] == [0, 0, 0]
    assert texts.tokenized.sequences[3:] == told.tokenized.sequences[3:]
    assert texts.ids.tolist() == told.ids.tolist()
    assert collate(RECORDS, epoch=0, without_prompt=[False] * 3).tokenized == told.tokenized


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    rows = ({"query": r.query, "positives": r.positives} for r in support.records())
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*overrides):
        places = [f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'pairs.jsonl'}"]
        return parse_recipe(support.RECIPE, overrides=[*places, *overrides])

    return make


def weights(folder):
    return load_model(folder).state_dict()


def test_a_run_that_was_stopped_ends_bit_by_bit_as_one_that_was_not(tmp_path, recipe):
    settings = recipe("batch.instruction_dropout=0.5")

    def interrupt(event):
        if event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    assert not train(settings, tmp_path / "out", on_step=[interrupt]).finished
    resumed = train(settings, tmp_path / "out", resume=True)
    whole = train(settings, tmp_path / "whole")
    plain = train(recipe(), tmp_path / "plain")
    assert resumed.progress.tokens == whole.progress.tokens < plain.progress.tokens
    found, expected = weights(tmp_path / "out"), weights(tmp_path / "whole")
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"batch\.instruction_dropout is 1\.5; expected less than or equal to 1"):
        support.recipe("batch.instruction_dropout=1.5")
