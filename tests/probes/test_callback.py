"""Probes while a model is trained: they see the model as it is, and leave no trace in the run."""

import json

import pytest
import torch

from slimvec.errors import InputError
from slimvec.evaluation.models import Usage
from slimvec.model.folder import load_model, save_model
from slimvec.probes.instruction.instruction_probe import InstructionProbe
from slimvec.probes.protocol import ProbeConfig
from slimvec.probes.run import ProbeValidator, embedder_to_probe, probe_validators
from slimvec.training.recipe import Batch
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from slimvec.training.run.validation import TrainingEmbedder
from tests import tiny
from tests.probes.support import Counting, slimvec_model
from tests.training import support

BATCH = Batch(max_query_tokens=200, max_document_tokens=200)


def test_the_model_in_training_is_the_model():
    made = tiny.embedding_model()
    probed, plain = embedder_to_probe(TrainingEmbedder(made, BATCH)), slimvec_model()
    told = Usage("p", "Retrieval", "query", "do it now")
    for usage in (told, Usage("p", "Retrieval", "document"), Usage("p", "STS", None)):
        prompt = probed.prompt(usage)
        assert prompt == plain.prompt(usage)
        found, expected = (
            model.embed(["a text", "b"], role=prompt.role, task=prompt.task).vectors for model in (probed, plain)
        )
        assert found == pytest.approx(expected, abs=1e-5)
    assert probed.card.identity is None
    assert embedder_to_probe(plain.embedder).prompts == plain.embedder.spec.prompts


def test_measures_are_logged_by_name_the_main_ones_only():
    probe = Counting()
    found = ProbeValidator(probe, ProbeConfig(amount="tiny", seed=4))(TrainingEmbedder(tiny.embedding_model(), BATCH))
    assert found == {"accuracy": 0.7, "a_b/c_d": 0.25}
    assert probe.seen[0][1].seed == 4
    assert probe.seen[0][0].card.max_tokens == 200  # what is longer would lose its end in silence
    assert probe_validators([probe], seed=4)["counting"].config == ProbeConfig(amount="tiny", seed=4)


def test_a_probe_that_cannot_be_run_is_an_error():
    with pytest.raises(InputError, match="probe counting cannot be run in training: no states; leave it out"):
        ProbeValidator(Counting(skipped="no states"))(TrainingEmbedder(tiny.embedding_model(), BATCH))


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    rows = ({"query": r.query, "positives": r.positives} for r in support.records())
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*overrides):
        places = [f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'pairs.jsonl'}"]
        limits = ["batch.max_query_tokens=200", "batch.max_document_tokens=200"]
        return parse_recipe(support.RECIPE, overrides=[*places, *limits, "run.steps=2", *overrides])

    return make


def test_a_run_with_probes_ends_bit_by_bit_as_one_without(tmp_path, recipe):
    settings = recipe("validation={count: 4, every_steps: 1}", "tuning.dropout=0.3", "batch.graph_tokens=0")
    validators = probe_validators([InstructionProbe(num_made=8)])
    events = []
    train(settings, tmp_path / "with", validators=validators, on_validation=[events.append])
    train(settings, tmp_path / "without")
    states = [load_model(tmp_path / name).state_dict() for name in ("with", "without")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert [event.step for event in events] == [0, 1, 2]
    found = [event.measures["instruction/cosine/missing"] for event in events]
    assert len(set(found)) == 3  # the model has moved
    lines = [json.loads(line) for line in (tmp_path / "with" / "metrics.jsonl").read_text().splitlines()]
    logged = [line["measures"] for line in lines if "measures" in line]
    assert [line["instruction/cosine/missing"] for line in logged] == found
    assert "instruction/ndcg/right" in logged[0]


def test_a_measure_of_a_probe_can_choose_the_weights(tmp_path, recipe):
    settings = recipe("validation={count: 4, every_steps: 1, metric: counting/a_b/c_d, keep: best}")
    result = train(settings, tmp_path / "out", validators=probe_validators([Counting()]))
    assert (result.progress.best.score, result.progress.best.step) == (0.25, 1)  # a constant is never better later
