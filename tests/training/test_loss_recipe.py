"""The recipe's section about the loss: what it asks of the objectives, and what it refuses."""

import pytest

from slimvec.errors import InputError
from slimvec.objectives.settings import CoSENT, Distillation, Loss, Mixing, ScoreDistillation
from slimvec.training.recipe.reading import parse_recipe, recipe_yaml
from slimvec.training.step.objective import make_objective
from tests.training import combined, support


def test_every_setting_arrives():
    loss = Loss.model_validate(
        {
            "contrastive": 0.5,
            "temperature": 0.02,
            "terms": ["q-d", "d-d"],
            "mask_equal_texts": False,
            "margin": 0.1,
            "focal": 0.5,
            "hardness": 5,
            "mixing": {"kind": "both", "count": 3, "temperature": 0.2, "stop_gradient": True},
            "spread": 0.1,
            "distill": {"teacher": "minilm-l6", "weight": 2, "teacher_temperature": 0.05},
            "graded": {"scale": 10, "weight": 0.3},
            "mrl_dims": [8, 4],
            "mrl_weights": [1, 0.5],
        }
    )
    assert loss == Loss(
        temperature=0.02,
        terms=("q-d", "d-d"),
        mask_equal_texts=False,
        margin=0.1,
        focal=0.5,
        hardness=5.0,
        contrastive=0.5,
        mixing=Mixing(kind="both", count=3, temperature=0.2, stop_gradient=True),
        spread=0.1,
        distill=Distillation(teacher="minilm-l6", weight=2.0, teacher_temperature=0.05),
        graded=CoSENT(scale=10.0, weight=0.3),
        mrl_dims=(8, 4),
        mrl_weights=(1.0, 0.5),
    )
    assert loss.distill.by_scores(loss.temperature) == ScoreDistillation("kl", 0.02, 0.05, "batch")


def test_defaults_of_distillation():
    def distillation(**settings):
        loss = Loss.model_validate({"temperature": 0.02, "distill": settings})
        return loss.distill.by_scores(loss.temperature)

    assert distillation(teacher="records") == ScoreDistillation("kl", 0.02, 0.02, "own")
    assert distillation(teacher="big", kind="margin-mse") == ScoreDistillation("margin-mse", 1.0, 1.0, "batch")
    assert distillation(teacher="big", kind="cosine") is None


def test_a_projection_where_the_widths_differ_or_one_is_asked_for():
    def projection(dims, teacher_dims, **settings):
        loss = Loss.model_validate({"distill": {"teacher": "big", "kind": "mse", **settings}})
        return make_objective(loss, dims=dims, teacher_dims=teacher_dims, seed=1)

    assert projection(6, 6).projection is None
    assert list(projection(6, 6).named_parameters()) == []
    assert projection(6, 6, projection=True).projection.shape == (6, 6)
    first, again = projection(6, 5), projection(6, 5)
    assert [name for name, _ in first.named_parameters()] == ["objective.projection"]
    assert first.projection.tolist() == again.projection.tolist()
    with pytest.raises(
        InputError, match="a teacher of 5 dims for a model of 6, without projection; expected equal wid"
    ):
        projection(6, 5, projection=False)


@pytest.mark.parametrize("name", combined.NAMES)
def test_a_recipe_with_it_reads_back(name):
    recipe = support.recipe(f"loss={{temperature: 0.3, {combined.COMBINATIONS[name]}}}")
    assert parse_recipe(recipe_yaml(recipe)) == recipe


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("contrastive: 0", "contrastive 0 without distill or graded leaves nothing to learn; give one of them"),
        ("contrastive: 0, focal: 1, graded: {}", "focal belongs to the contrastive loss, and contrastive is 0"),
        ("hardness: 5, terms: [q-q]", "hardness is about mined negatives, which only the term q-d compares"),
        ("mixing: {}, terms: [d-d]", "mixing is about mined negatives, which only the term q-d compares"),
        ("mixing: {kind: list, count: 2}", "count has no meaning for mixing of kind list"),
        ("mixing: {temperature: 2}", "temperature has no meaning for mixing of kind pair"),
        ("mixing: {kind: trio}", "loss.mixing.kind is 'trio'; expected 'pair', 'list' or 'both'"),
        ("mixing: {knid: pair}", "unknown key 'loss.mixing.knid'; expected one of kind, count, temperature, stop_grad"),
        ("distill: {kind: kl}", "loss.distill.teacher is missing"),
        ("distill: {teacher: records, kind: mse}", "kind mse takes a model; records hold scores, not vectors"),
        ("distill: {teacher: records, candidates: batch}", "candidates batch takes a model for teacher; records hold"),
        ("distill: {teacher: x, kind: cosine, temperature: 1}", "temperature has no meaning for distillation of kind"),
        ("distill: {teacher: x, projection: true}", "projection has no meaning for distillation of kind kl"),
        ("graded: {scale: 0}", "loss.graded.scale is 0; expected greater than 0"),
    ],
)
def test_contradictions(loss, message):
    with pytest.raises(InputError) as caught:
        support.recipe(f"loss={{{loss}}}")
    assert message in str(caught.value)


def test_mined_negatives_that_the_batch_leaves_out():
    with pytest.raises(InputError, match=r"mixing is about mined negatives, and batch.negatives is 0"):
        support.recipe("loss.mixing={}", "batch.negatives=0")
