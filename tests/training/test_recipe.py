"""Recipes: what is refused, how it is said, and that what is written reads back."""

import subprocess
import sys
from pathlib import Path

import pytest

from slimvec.errors import InputError
from slimvec.model.manifest import Manifest
from slimvec.model.spec import ModelSpec
from slimvec.training.recipe.reading import parse_recipe, read_recipe, recipe_yaml
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.kinds import KINDS
from slimvec.training.run.stages import StageRecord

GOOD = """\
base:
  source: smollm2-135m
data:
  - path: a.jsonl
  - path: b.parquet
    limit: 10
model:
  pooling: {mode: beta, beta: 2}
run:
  steps: 10
"""
TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"


def refused(text, *overrides):
    with pytest.raises(InputError) as caught:
        parse_recipe(text, name="r.yaml", overrides=overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reads_and_reads_back():
    recipe = parse_recipe(GOOD)
    assert recipe.data[1].limit == 10
    assert recipe.model.pooling.beta == 2
    again = parse_recipe(recipe_yaml(recipe))
    assert again == recipe
    assert again.model.model_fields_set == recipe.model.model_fields_set == {"pooling"}
    dropout = parse_recipe(GOOD, overrides=["tuning.dropout=0.1"])
    assert parse_recipe(recipe_yaml(dropout)) == dropout
    assert recipe.tuning.folded
    assert not dropout.tuning.folded
    full = parse_recipe(GOOD, overrides=["tuning.method=full"])
    assert parse_recipe(recipe_yaml(full)) == full
    short = parse_recipe(GOOD, overrides=["model.max_tokens=100", "batch.max_query_tokens=90"])
    assert parse_recipe(recipe_yaml(short)) == short


def test_the_tiny_recipe_is_valid():
    assert read_recipe(TINY).run.steps == 4


def test_overrides():
    recipe = parse_recipe(GOOD, overrides=["optim.lr=1e-4", "data.0.limit=3", "loss.mrl_dims=[64, 32]", "run.seed=7"])
    assert (recipe.optim.lr, recipe.data[0].limit, recipe.loss.mrl_dims, recipe.run.seed) == (1e-4, 3, (64, 32), 7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr", "override 'optim.lr'; expected section.key=value, as in optim.lr=0.001"),
        ("data.5.limit=3", "override 'data.5.limit=3': the recipe has no '5' at that place"),
        ("base.source.x=3", "override 'base.source.x=3': the recipe has no 'x' at that place"),
        ("optim.lrr=3", "override 'optim.lrr=3': unknown key 'optim.lrr'; expected one of lr, warmup, decay, "),
        ("optim.lr=0", "override 'optim.lr=0': optim.lr is 0; expected greater than 0"),
        ("run.epochs=2", "override 'run.epochs=2': steps and epochs are all given; give one of steps, tokens, epochs"),
        ("optim.lr=[", "the value of override 'optim.lr=[' is not valid YAML"),
    ],
)
def test_bad_overrides(override, message):
    assert message in refused(GOOD, override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "  stepz: 3\n", "r.yaml, line 11: unknown key 'run.stepz'; expected one of steps, tokens, epochs, "),
        (GOOD + "  stepz: 3\n", "did you mean 'steps'?"),
        (GOOD + "los:\n  temperature: 1\n", "r.yaml, line 11: unknown key 'los'"),
        (GOOD + "  epochs: 3\n", "r.yaml, line 11: steps and epochs are all given; give one of"),
        (GOOD.replace("  steps: 10", "  seed: 1"), "r.yaml, line 9: no length is given; give one of"),
        (GOOD + "loss:\n  temperature: -1\n", "r.yaml, line 12: loss.temperature is -1; expected greater than 0"),
        (GOOD + "loss:\n  temperature: warm\n", "r.yaml, line 12: loss.temperature is 'warm'; expected a valid number"),
        (GOOD + "loss:\n  terms: [q-d, q-d]\n", "r.yaml, line 12: terms ['q-d', 'q-d'] name one twice"),
        (GOOD + "loss:\n  mrl_dims: [8, 8]\n", "r.yaml, line 12: mrl_dims [8, 8] must be different"),
        (
            GOOD + "loss:\n  mrl_dims: [8]\n  mrl_weights: [1, 2]\n",
            "r.yaml, line 13: 2 mrl_weights for 1 mrl_dims; give one for each",
        ),
        (
            GOOD.replace("model:\n", "model:\n  dims: 4\n") + "loss:\n  mrl_dims: [8]\n",
            "r.yaml, line 13: mrl_dims go up to 8, and the model has 4 dims",
        ),
        (GOOD.replace("mode: beta", "mode: mean"), "r.yaml, line 8: pooling mode 'mean' with beta 2.0"),
        (GOOD + "tuning:\n  method: full\n  rank: 8\n", "r.yaml, line 13: rank belongs to method lora"),
        (GOOD + "tuning:\n  dropout: 0.1\n  fold: true\n", "r.yaml, line 13: fold with dropout"),
        (GOOD + "optim:\n  betas: [0.9, 1]\n", "r.yaml, line 12: betas [0.9, 1.0] must be"),
        (GOOD + "batch:\n  max_query_tokens: 600\n", "r.yaml, line 12: max_query_tokens 600 is above the model's"),
        (GOOD + "model: {}\n", "r.yaml, line 11: 'model' is there already, in line 7"),
        (GOOD.replace("    limit: 10", "    limitt: 10"), "line 6: unknown key 'data.1.limitt'"),
        (GOOD.replace("base:\n  source: smollm2-135m\n", ""), "base is missing; add base"),
        ("run: [", "r.yaml is not valid YAML"),
        ("", "r.yaml holds no settings; expected sections base, model, tuning, data, "),
        ("- 1\n", "r.yaml holds no settings"),
    ],
)
def test_bad_recipes(text, message):
    assert message in refused(text)


def test_counts_what_else_is_wrong():
    assert "(and 1 more)" in refused(GOOD + "optim:\n  lr: -1\n  clip: -1\n")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml cannot be read: No such file or directory; expected a recipe"):
        read_recipe(tmp_path / "none.yaml")


def test_reading_a_recipe_does_not_import_torch():
    code = "import sys, slimvec.training.recipe.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


STAGED = """\
base:
  source: smollm2-135m
loss:
  temperature: 0.05
tuning:
  rank: 8
batch:
  pairs: 32
run:
  epochs: 1
stages:
  - name: weak
    data:
      - path: weak.jsonl
    batch:
      pairs: 64
  - name: supervised
    data:
      - path: mined.jsonl
        limit: 5
    tuning: {method: full}
    loss:
      focal: 0.5
    run:
      steps: 7
validation:
  share: 0.1
"""


def test_stages_change_what_they_name():
    first, second = parse_recipe(STAGED).stage_recipes()
    assert (first.name, second.name) == ("weak", "supervised")
    assert (first.recipe.batch.pairs, second.recipe.batch.pairs) == (64, 32)
    assert (second.recipe.loss.temperature, second.recipe.loss.focal, first.recipe.loss.focal) == (0.05, 0.5, 0)
    assert (first.recipe.run.epochs, second.recipe.run.epochs, second.recipe.run.steps) == (1, None, 7)
    assert (first.recipe.tuning.rank, second.recipe.tuning.method) == (8, "full")
    assert [str(source.path) for source in second.recipe.data] == ["mined.jsonl"]
    assert first.recipe.validation == second.recipe.validation


def test_staged_recipes_read_back():
    recipe = parse_recipe(STAGED)
    again = parse_recipe(recipe_yaml(recipe))
    assert again == recipe
    assert again.stage_recipes() == recipe.stage_recipes()


@pytest.mark.parametrize(
    "objective",
    [
        "{kind: text-vectors, teachers: [big]}",
        "{kind: text-vectors, teachers: [big], cosine: 0, kl: 1}",
        "{kind: text-vectors, teachers: [big], axes: own, head_texts: 9, refit_texts: 8}",
        "{kind: next-phrase}",
        "{kind: next-phrase, query: beginning}",
        "{kind: simcse}",
        "{kind: crops}",
        "{kind: revela}",
        "{kind: anchor}",
        "{kind: ngrams}",
    ],
)
def test_recipes_of_every_kind_read_back(objective):
    recipe = parse_recipe(GOOD, overrides=[f"objective={objective}", "validation=null", "model.attention=causal"])
    assert parse_recipe(recipe_yaml(recipe)) == recipe


def test_null_takes_a_section_away():
    first, second = parse_recipe(STAGED, overrides=["stages.1.validation=null"]).stage_recipes()
    assert first.recipe.validation is not None
    assert second.recipe.validation is None


def test_a_recipe_without_stages_is_one_stage():
    recipe = parse_recipe(GOOD)
    assert [(stage.name, stage.recipe) for stage in recipe.stage_recipes()] == [("", recipe)]


def test_data_root_is_where_relative_paths_begin():
    text = STAGED.replace("- path: weak.jsonl", "- path: /elsewhere/weak.jsonl\n      - path: hf:some/pairs")
    recipe = parse_recipe(text, overrides=["data_root=/data", "validation={path: held.jsonl}"])
    first, second = recipe.stage_recipes()
    assert [str(source.path) for source in first.recipe.data] == ["/elsewhere/weak.jsonl", "hf:some/pairs"]
    assert [str(source.path) for source in second.recipe.data] == ["/data/mined.jsonl"]
    assert str(second.recipe.validation.path) == "/data/held.jsonl"
    assert parse_recipe(recipe_yaml(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STAGED.replace("focal: 0.5", "focal: -1"), "line 23: stage 2: loss.focal is -1; expected greater than or eq"),
        (STAGED.replace("focal", "fokal"), "line 23: stage 2: unknown key 'loss.fokal'; expected one of temperature, "),
        (STAGED.replace("focal: 0.5", "mrl_weights: [1]"), "line 23: stage 2: 1 mrl_weights for 0 mrl_dims"),
        (STAGED.replace("    loss:", "    los:"), "line 22: unknown key 'stages.1.los'; expected one of name, model, "),
        (
            STAGED.replace("limit: 5", "limitt: 5"),
            "line 20: stage 2: unknown key 'data.0.limitt'; expected one of path",
        ),
        (
            STAGED.replace("temperature: 0.05", "temperature: 0"),
            "line 4: loss.temperature is 0; expected greater than 0",
        ),
        (STAGED.replace("    batch:", "    base: {source: x}\n    batch:"), "line 15: unknown key 'stages.0.base'"),
        (STAGED.replace("  epochs: 1", "  seed: 1"), "line 9: stage 1: no length is given; give one of"),
        (STAGED.replace("name: supervised", "name: weak"), "line 17: stage 'weak' is there already; give it another"),
        (STAGED.replace("name: supervised", "name: a/b"), "line 17: stages.1.name is 'a/b'; expected pattern"),
        (STAGED.replace("rank: 8", "merge: false"), "line 21: merge false with stages that change the adapter"),
        (
            STAGED.replace("      - path: weak.jsonl\n", "").replace("    data:\n    batch", "    batch"),
            "data is missing",
        ),
        (STAGED.replace("loss:\n      focal: 0.5", "loss: 3"), "line 22: stages.1.loss is 3; expected keys with their"),
        (STAGED.replace("  share: 0.1", "  patience: 3"), "line 26: nothing says what is held out; give one of count"),
        (STAGED.replace("  share: 0.1", "  share: 0.1\n  count: 4"), "count and share are all given; give one of"),
        (
            GOOD.replace("data:\n  - path: a.jsonl\n  - path: b.parquet\n    limit: 10\n", ""),
            "data is missing; add data",
        ),
        (GOOD + "  attention_ramp: 0.5\n", "line 11: attention_ramp with causal attention; set model.attention to"),
        (GOOD + "adaptation: {}\nvalidation: {share: 0.1}\n", "line 12: validation holds out pairs, and an adaptation"),
        (
            GOOD.replace("model:\n", "model:\n  attention: causal\n") + "adaptation: {}\n",
            "adaptation by masked-next-token with causal attent",
        ),
    ],
)
def test_bad_stages(text, message):
    assert message in refused(text)


@pytest.mark.parametrize("key", ["optim.lr", "run.max_minutes", "tuning.alpha", "loss.temperature", "data.0.weight"])
@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_numbers_are_finite(key, value):
    assert f"{key} is {value[1:]}; expected a finite number" in refused(GOOD, f"{key}={value}")


def test_what_is_expected_is_said_in_plain_words():
    assert "override 'run=2': run is 2; expected keys with their values" in refused(GOOD, "run=2")
    assert "data.0.path is None; expected a path" in refused(GOOD, "data.0.path=")
    assert "run.seed is 9223372036854775808; expected less than 9223372036854775808" in refused(
        GOOD, f"run.seed={1 << 63}"
    )


def test_bad_overrides_of_stages():
    message = "override 'stages.1.optim.lr=0': stage 2: optim.lr is 0; expected greater than 0"
    assert message in refused(STAGED, "stages.1.optim.lr=0")


@pytest.mark.parametrize(
    "override", ["tuning={method: full}", "batch={mix_temperature: .inf}", "model.pooling.beta=.inf"]
)
def test_the_record_of_a_stage_reads_back_from_json(override):
    recipe = parse_recipe(GOOD, overrides=[override])
    record = StageRecord(
        name="a", recipe=recipe, recipe_id="b", data=(), num_held_out=0, progress=Progress(run_id="c"), num_trained=1
    )
    manifest = Manifest(spec=ModelSpec(), training=record.model_dump(mode="json"))
    read = Manifest.model_validate_json(manifest.model_dump_json())
    assert StageRecord.model_validate(read.training) == record


def test_the_default_objective_is_not_written_so_that_fingerprints_of_earlier_runs_stay():
    recipe = parse_recipe(GOOD)
    assert recipe.kind == "contrastive"
    assert "objective" not in recipe.model_dump(mode="json")
    given = parse_recipe(GOOD, overrides=["objective={kind: contrastive}"])
    assert given == recipe
    assert "objective" not in given.model_dump(mode="json")
    assert set(KINDS) >= {"contrastive", "next-token", "masked-next-token", "masked-token"}
