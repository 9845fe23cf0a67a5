"""Steps that teach nothing are counted before, during and after a run; mostly nothing is an error."""

import json

import pytest

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.training.batches.filling import Contrasts, Filling
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.outline import outline_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.contrastive import plan_contrastive
from tests.training import support


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(query, positive, *negatives):
    return {"query": query, "positives": [positive], "negatives": list(negatives)}


def settings(base, path, *overrides):
    return parse_recipe(support.RECIPE, overrides=[f"base.source={base}", f"data.0.path={path}", *overrides])


def equal_answers(tmp_path, *negatives):
    rows = [pair(f"question {number}", "yes", *negatives) for number in range(54)]
    rows += [pair(f"other {number}", f"answer {number}", *negatives) for number in range(10)]
    return write(tmp_path / "equal.jsonl", rows)


def test_a_run_whose_batches_have_nothing_to_tell_apart_is_refused_with_the_reason(tmp_path, base):
    recipe = settings(base, equal_answers(tmp_path), "batch.pairs=8")
    message = (
        r"5\d of 5\d batches hold pairs without any negative, whose loss is 0: no text may come twice in a batch, and "
        r"54 of 64 records hold 'yes'; expected records that differ, 8 to a batch; remove those that repeat a text"
    )
    with pytest.raises(InputError, match=message):
        train(recipe, tmp_path / "out")
    assert not (tmp_path / "out.training").exists()
    with pytest.raises(InputError, match=message):
        outline_recipe(recipe)


def test_negatives_of_their_own_make_single_pairs_worth_a_step(tmp_path, base):
    recipe = settings(
        base, equal_answers(tmp_path, "no", "perhaps"), "batch.pairs=8", "batch.negatives=2", "run.steps=2"
    )
    assert train(recipe, tmp_path / "out").finished


def test_batches_smaller_than_asked_for_are_told_of(tmp_path, base):
    rows = [pair(f"question {number}", f"answer {number % 8}") for number in range(64)]
    recipe = settings(base, write(tmp_path / "eight.jsonl", rows), "batch.pairs=64", "run.steps=3", "batch.negatives=0")
    told = []
    train(recipe, tmp_path / "out", notice=lambda what, _: told.append(what))
    line = "8.0 pairs a step of 64 asked, 7.0 negatives a pair; 8 of 8 batches hold under half of that"
    assert line in told
    assert str(outline_recipe(recipe).stages[0].filling) == line
    steps = [json.loads(row) for row in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert [(step["pairs"], step["negatives_per_pair"]) for step in steps if "loss" in step] == [(8, 7.0)] * 3
    progress = json.loads((tmp_path / "out/slimvec.json").read_text())["training"]["progress"]
    assert (progress["pairs"], progress["negatives"]) == (24, 168)


def test_texts_of_one_group_are_no_negatives_for_each_other(base):
    records = [
        Record(query=f"text {number}", positives=(f"text {number + 50}",), source="s", group=str(number % 2))
        for number in range(6)
    ] + [Record(query="free", positives=("bound",), negatives=("a", "b", "c"), source="s")]
    recipe = settings(base, "unread.jsonl", "batch.pairs=8", "batch.negatives=2")
    contrasts = Contrasts(records, recipe)
    assert vars(contrasts.of(range(7))) == {"pairs": 7, "negatives": 6 * 4 + 6 + 2, "alone": 0}
    assert vars(contrasts.of([0, 2, 4])) == {"pairs": 3, "negatives": 0, "alone": 3}
    filling = Filling.of(plan_contrastive(records, recipe, None), contrasts)
    assert (filling.batches, filling.pairs, filling.small, filling.empty) == (1, 7.0, 0, 0)
