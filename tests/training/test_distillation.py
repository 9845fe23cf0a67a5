"""Whole runs with a teacher: what is learnt, what is kept in checkpoints, and what is not in the model."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.model.folder import save_model
from slimvec.training.batches.collation import Collator
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support


class Teacher:
    """A vector of its own for every text."""

    dims = 5

    def __init__(self, identity="big"):
        self.identity = identity

    def __call__(self, texts, _role, _task):
        rows = [np.random.default_rng(text_id(text)).normal(size=self.dims) for text in texts]
        return np.stack(rows).astype(np.float32)

    def likelihoods(self, pairs):
        return np.array([-((text_id(query) ^ text_id(document)) % 1000) / 200 for query, document in pairs], np.float32)


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    rows = ({"query": r.query, "positives": r.positives, "negatives": r.negatives} for r in support.records())
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = [f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'pairs.jsonl'}"]
    return lambda *overrides: support.recipe(*data, *overrides)


VECTORS = "loss={temperature: 0.1, distill: {teacher: big, kind: cosine}}"


def test_the_projection_is_trained_and_kept_in_checkpoints_only(tmp_path, recipe):
    settings, names, found = recipe(VECTORS, "run.checkpoint_steps=1", "run.steps=4"), [], []

    def look(event):
        if event.step == 1:
            return
        paths = sorted((tmp_path / "out.training").rglob("*.safetensors"))
        with safe_open(paths[-1], "pt") as file:
            names.extend(name for name in file.keys() if "objective" in name)  # noqa: SIM118
            found.append(file.get_tensor("weight.objective.projection"))
        assert sorted(event.losses) == ["contrastive", "distillation"]

    train(settings, tmp_path / "out", on_step=[look], open_teacher=lambda _: Teacher())
    assert found[0].shape == (5, 32)
    assert found[0].tolist() != found[-1].tolist()
    assert "exp_avg.objective.projection" in names
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert not [name for name in file.keys() if "objective" in name]  # noqa: SIM118


def test_a_run_with_a_teacher_learns_from_it(tmp_path, recipe):
    losses = []
    settings = recipe("loss={temperature: 0.1, contrastive: 0, distill: {teacher: big, kind: mse}}", "run.steps=12")
    train(
        settings,
        tmp_path / "out",
        on_step=[lambda event: losses.append(event.losses["distillation"])],
        open_teacher=lambda _: Teacher(),
    )
    assert losses[-1] < losses[0]


def test_a_teacher_must_be_there(tmp_path, recipe):
    with pytest.raises(InputError, match="the recipe has a teacher, big, and the run was started without one"):
        train(recipe(VECTORS), tmp_path / "out")


LIKELIHOOD = "loss={temperature: 0.1, contrastive: 0, distill: {teacher: big, judges_by: likelihood}}"


def test_a_likelihood_is_learnt_of_a_query_s_own_candidates(recipe, tmp_path):
    settings, losses = recipe(LIKELIHOOD, "run.steps=12", "batch.negatives=2"), []
    train(
        settings,
        tmp_path / "out",
        on_step=[lambda event: losses.append(event.losses["distillation"])],
        open_teacher=lambda _: Teacher(),
    )
    assert losses[-1] < losses[0]


def test_scores_of_a_batch_are_the_teacher_s_likelihoods():
    made, teacher = tiny.embedding_model(), Teacher()
    records = [
        Record("q1", ("p1", "p2"), negatives=("n1", "n2", "n3")),
        Record("q2", ("p3",)),
        Record("q3", ("p4",), negatives=("n4",), contrasts=("c1",)),
    ]
    collator = Collator(
        made.tokenizer,
        made.spec.prompts,
        max_query_tokens=150,
        max_document_tokens=150,
        max_negatives=2,
        teacher=teacher,
        by_likelihood=True,
    )
    batch = collator(records, epoch=1)
    nan = float("nan")
    own = lambda query, *texts: teacher.likelihoods([(query, text) for text in texts]).tolist()  # noqa: E731
    wanted = [own("q1", "p2", "n1", "n2"), [nan, nan, nan], [*own("q3", "p4", "n4"), nan]]
    np.testing.assert_allclose(batch.scores.numpy(), np.array(wanted, np.float32))
    assert batch.teacher is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            "loss.distill={teacher: records, judges_by: likelihood}",
            "likelihood is a model's, of a query's own candidates",
        ),
        ("loss.distill={teacher: big, judges_by: likelihood, kind: mse}", "likelihood is a model's"),
        ("loss.distill={teacher: big, judges_by: likelihood, candidates: batch}", "likelihood is a model's"),
        ("batch.negatives=0", "likelihood judges mined negatives beside the positive, and batch.negatives is 0"),
    ],
)
def test_a_likelihood_needs_candidates_of_its_own(recipe, changes, message):
    with pytest.raises(InputError, match=message):
        recipe(LIKELIHOOD, "batch.negatives=2", changes)
