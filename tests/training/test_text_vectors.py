"""Distillation on plain texts: against a plain reference, in pieces, over whole runs, and resumed."""

import json
import os
import re
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from slimvec.errors import InputError
from slimvec.model.folder import load_model, save_model
from slimvec.objectives.text_vectors import distil_texts
from slimvec.statistics.principal_axes import principal_axes
from slimvec.text.batch import PackedBatch
from slimvec.training.run.forecast import tokens_per_step
from slimvec.training.run.outline import outline_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.text_vectors import TargetVectors, TextVectorSteps, TrainablePooling
from tests import tiny
from tests.training import support
from tests.training.support import LetterTeacher

TEXTS = [record.positives[0] for record in support.records()] + ["red and blue " * 6, "a", "north " * 12]
OBJECTIVE = "objective={kind: text-vectors, teachers: [big], texts: 9, max_tokens: 60, gram: 0.5, kl: 0.3}"
HEAD = "model={head: [{kind: dense, in_dims: 32, out_dims: 8, bias: false, activation: Identity}]}"


def steps(*overrides, made=None, teachers=None, projection=None):
    settings = support.recipe(OBJECTIVE, *overrides)
    made = made or tiny.embedding_model()
    targets = TargetVectors(
        teachers or [LetterTeacher()],
        TEXTS,
        role=settings.objective.role,
        principal=settings.objective.axes == "principal",
    )
    return made, TextVectorSteps(
        TEXTS,
        settings,
        settings.objective,
        model=made,
        targets=targets,
        projection=projection,
    )


def test_targets_are_units_together_and_turning_them_leaves_their_cosines():
    teachers = [LetterTeacher(6), LetterTeacher(9, "other")]
    plain, turned = (TargetVectors(teachers, TEXTS, role="query", principal=p) for p in (False, True))
    numbers = np.array([3, 0, 11])
    rows = plain.rows(numbers)
    assert rows.shape == (3, 15)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    own = [torch.from_numpy(teacher([TEXTS[n] for n in numbers], "query", None)) for teacher in teachers]
    cosines = sum(torch.cosine_similarity(part[0], part[1], dim=0) for part in own) / 2
    assert float(rows[0] @ rows[1]) == pytest.approx(float(cosines), abs=1e-6)
    torch.testing.assert_close(turned.rows(numbers) @ turned.rows(numbers).T, rows @ rows.T)
    spread = turned.rows(np.arange(len(TEXTS))).square().sum(0)
    assert torch.equal(spread, spread.sort(descending=True).values)
    assert plain.identity != turned.identity


def test_axes_are_the_same_whatever_the_sign_they_were_found_with():
    axes = principal_axes(np.diag([1.0, 4.0, 2.0]))
    np.testing.assert_allclose(axes, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("micro_batch_tokens", [1, 64, 4096])
@pytest.mark.parametrize("graph_tokens", [0, 100_000])
def test_loss_and_gradient_equal_those_of_all_texts_at_once(micro_batch_tokens, graph_tokens):
    projection = torch.nn.Parameter(torch.randn(12, 32, generator=torch.Generator().manual_seed(1)))
    overrides = (
        f"batch.micro_batch_tokens={micro_batch_tokens}",
        f"batch.graph_tokens={graph_tokens}",
        "loss.mrl_dims=[32, 8]",
    )
    made, work = steps(*overrides, projection=projection)
    made.requires_grad_(True)
    seen = []
    for number in range(work.num_steps(1)):
        batch = work._deal.step(number)[0]
        seen += batch.tolist()
        texts = made.tokenizer.tokenize([TEXTS[n] for n in batch]).sequences
        states = [made(PackedBatch.from_sequences([ids[:60]]))[0] for ids in texts]
        wanted = distil_texts(
            torch.stack(states).double(),
            work._targets.rows(batch).double(),
            work._settings,
            dims=work._recipe.loss.mrl_dims,
            dim_weights=work._recipe.loss.mrl_weights,
            projection=projection.double(),
        )
        made.zero_grad()
        projection.grad = None
        wanted.total.backward()
        slopes = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
        slope, projection.grad = projection.grad, None
        made.zero_grad()
        step = work.backward(number, TrainablePooling(made))
        assert step.loss == pytest.approx(float(wanted.total.detach()), rel=1e-5)
        assert step.losses.keys() == {"cosine", "gram", "kl"}
        torch.testing.assert_close(projection.grad, slope, rtol=1e-3, atol=1e-6)
        for name, parameter in made.named_parameters():
            if name in slopes:
                torch.testing.assert_close(parameter.grad, slopes[name], rtol=2e-3, atol=1e-5)
    assert sorted(seen) == list(range(len(TEXTS)))


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS))
    data = [f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'texts.jsonl'}", "run.steps=12"]
    return lambda *overrides: support.recipe(*data, OBJECTIVE, "objective.field=body", *overrides)


def run(recipe, output, **more):
    losses = []
    result = train(
        recipe,
        output,
        on_step=[lambda event: losses.append(event.loss)],
        open_teacher=lambda _: LetterTeacher(),
        **more,
    )
    return result, losses


def test_it_learns_and_the_projection_is_not_in_the_model(tmp_path, recipe):
    _, losses = run(recipe("objective.axes=own", "objective.projection=true"), tmp_path / "out")
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert load_model(tmp_path / "out").dims == 32


def test_a_head_that_starts_from_regression_begins_nearer_stays_and_is_saved_with_the_adapter(tmp_path, recipe):
    plain = run(recipe(HEAD), tmp_path / "plain")[1]
    tuned = recipe(HEAD, "objective.head_texts=24", "tuning.merge=false", "loss.mrl_dims=[8, 4]")
    _, losses = run(tuned, tmp_path / "out")
    assert losses[0] < 2 * plain[0]
    made = load_model(tmp_path / "out")
    assert (made.dims, made.spec.trained_dims) == (8, (8, 4))
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()

    def head(name, *overrides):
        run(recipe(HEAD, "objective.head_texts=24", *overrides), tmp_path / name)
        return load_file(tmp_path / name / "2_Dense" / "model.safetensors")["linear.weight"]

    first = head("first", "run.steps=1")
    assert first.shape == (8, 32)
    assert torch.equal(head("last"), first)
    assert not torch.equal(head("trained", "objective.train_head=true"), first)


@pytest.mark.parametrize(
    "head",
    [
        ["objective.train_head=true"],
        [],
        ["objective.refit_texts=40"],
    ],
)
def test_resumed_equals_uninterrupted(tmp_path, recipe, head):
    def interrupt(event):
        if event.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    settings = recipe(HEAD, "objective.head_texts=24", "objective.projection=true", *head)
    stopped = train(settings, tmp_path / "out", on_step=[interrupt], open_teacher=lambda _: LetterTeacher())
    assert not stopped.finished
    run(settings, tmp_path / "out", resume=True)
    run(settings, tmp_path / "whole")
    for name in ("model.safetensors", "2_Dense/model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_a_run_begins_with_is_said_once_and_for_good(tmp_path, recipe):
    tuning = "tuning={method: lora, rank: 2, embedding_rank: 4, merge: false}"
    remarks = []
    run(recipe(HEAD, tuning, "objective.head_texts=24", "run.steps=1"), tmp_path / "out", remark=remarks.append)
    tokens, head = remarks
    assert re.fullmatch(r"tokens alone, without a layer, come to a mean cosine of -?0\.\d{3} on texts left out", tokens)
    assert re.fullmatch(r"the head starts at a mean cosine of 0\.\d{3} with the teacher on texts left out", head)


def test_a_head_follows_its_states_every_ten_steps(tmp_path, recipe):
    def head(steps, *overrides):
        settings = recipe(HEAD, "objective.head_texts=24", f"run.steps={steps}", "optim.lr=0.01", *overrides)
        losses = run(settings, tmp_path / "out", force=True)[1]
        return load_file(tmp_path / "out" / "2_Dense" / "model.safetensors")["linear.weight"], sum(losses[-6:])

    follow = "objective.refit_texts=60"
    started = head(9, follow)[0]
    assert torch.equal(started, head(9)[0])
    followed = head(10, follow)[0]
    assert not torch.equal(followed, started)
    assert head(60, follow)[1] < head(60)[1]


def test_records_give_queries_and_positives_each_once(tmp_path, recipe):
    rows = [{"query": "a", "positives": ["b", "c"]}, {"query": "b", "positive": "d"}]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    teacher = LetterTeacher()
    settings = recipe(
        f"data=[{{path: {tmp_path / 'pairs.jsonl'}}}]", "objective.field=null", "objective.texts=2", "run.steps=1"
    )
    train(settings, tmp_path / "out", open_teacher=lambda _: teacher)
    assert teacher.asked[:4] == ["a", "b", "c", "d"]


def test_it_needs_a_teacher_and_a_head_that_fits(tmp_path, recipe):
    with pytest.raises(InputError, match="the recipe has a teacher, big, and the run was started without one"):
        train(recipe(), tmp_path / "out")
    with pytest.raises(InputError, match=r"objective.head_texts for a head of \[\] and vectors of 12 numbers"):
        run(recipe("objective.head_texts=24"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective.cosine=0", "objective.gram=0", "objective.kl=0"], "cosine, gram and kl are all 0"),
        (["objective.teachers=[a, a]"], "name one twice"),
        (["objective.kl=0", "objective.temperature=0.1"], "temperature belongs to kl"),
        (["objective.cosine=0", "objective.projection=true"], "projection belongs to cosine"),
        (["objective.train_head=false"], "train_head false without head_texts"),
        (["objective.refit_texts=9"], "refit_texts is about a head that was solved for; set head_texts"),
        (
            ["objective.refit_texts=9", "objective.head_texts=9", "objective.train_head=true"],
            r"solved anew \(refit_texts\) or trained \(train_head\), not both",
        ),
        (["validation={share: 0.1}"], "validation holds out pairs"),
        (
            ["objective.cosin=1"],
            "unknown key 'objective.cosin'; expected one of cosine, .*; did you mean 'cosine'",
        ),
        (["objective.cosine=-1"], "objective.cosine is -1; expected greater than or equal to 0"),
    ],
)
def test_contradictions(recipe, overrides, message):
    with pytest.raises(InputError, match=message):
        recipe(*overrides)


def test_a_base_with_another_head_is_refused(tmp_path, recipe):
    run(recipe(HEAD, "run.steps=1"), tmp_path / "first")
    other = recipe(HEAD.replace("out_dims: 8", "out_dims: 4"), f"base.source={tmp_path / 'first'}")
    with pytest.raises(InputError, match=r"model.head for a base with a head of its own \(dense\)"):
        run(other, tmp_path / "out")


def test_a_dry_run_counts_texts_and_steps(recipe):
    (stage,) = outline_recipe(recipe("run={epochs: 2}")).stages
    assert (stage.objective, stage.sources[0].num_records) == ("text-vectors", len(TEXTS))
    assert (stage.steps_per_epoch, stage.steps) == (len(TEXTS) // 9, 2 * (len(TEXTS) // 9))


def test_a_forecast_takes_its_texts(recipe):
    assert tokens_per_step(recipe()) == 9 * 60
    assert tokens_per_step(recipe(), num_processes=2) == 5 * 60
