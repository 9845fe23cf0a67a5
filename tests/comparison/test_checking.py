"""What a study could only find out hours in is said before its first run."""

import json

import pytest

from slimvec.comparison import checking
from slimvec.comparison.checking import check_models, check_room
from slimvec.comparison.plan import Material
from slimvec.comparison.study_data import examine_data
from slimvec.errors import InputError, ModelError, StorageError
from tests.comparison.conftest import STUDY

INSTRUCTED = {"prompts": {"query": "Instruct: {task} Query: "}}
UNTRAINED = {"base": {"trained": False}}


def check(study, data):
    check_models(study, examine_data(study, Material.read(study, data).datasets))


def recipe(**changes):
    return {**STUDY["recipe"], **changes}


@pytest.fixture
def told(data):
    """Data whose records name an instruction."""
    rows = [json.loads(line) for line in (data / "pairs.jsonl").read_text().splitlines()]
    lines = (json.dumps(row | {"task": "Find the text"}) + "\n" for row in rows)
    (data / "pairs.jsonl").write_text("".join(lines), encoding="utf-8")
    return data


def test_instructions_of_records_need_a_place_in_the_prompts(study, told):
    variants = {"base": {}, "bare": {"set": ['model.prompts={query: ""}']}}
    with pytest.raises(InputError) as caught:
        check(study(recipe=recipe(model=INSTRUCTED), variants=variants), told)
    assert str(caught.value) == (
        "variant bare of study tiny: records of the data have instructions, as 'Find the text', and the prompts have "
        "no place for one; expected {task} in model.prompts.query; to train without them, leave model.prompts as they "
        "were and set batch.instruction_dropout=1"
    )
    dropped = {"base": {}, "bare": {"set": ["batch.instruction_dropout=1"], "load": {"prompts": {}}}}
    check(study(recipe=recipe(model=INSTRUCTED), variants=dropped), told)


def test_prompts_that_a_base_brings_along_count(study, told):
    base = recipe(model={"prompts": {"query": "search: ", "document": "text: "}}, batch={"pairs": 4})
    bases = {"own": {**base, "data": [{"path": "${data}/bare.jsonl"}]}}
    (told / "bare.jsonl").write_text("".join(f'{{"query": "a {n}", "positive": "b {n}"}}\n' for n in range(8)))
    start = {"set": ["base.source=${base:own}"]}
    with pytest.raises(InputError, match="variant base of study tiny: records of the data have instructions"):
        check(
            study(recipe=recipe(model={}), bases=bases, variants={"base": start, "raw": {**start, "trained": False}}),
            told,
        )


@pytest.mark.parametrize(
    ("odd", "kind", "message"),
    [
        ({"set": ["base.source=./nowhere"]}, InputError, "no model './nowhere': no such folder or file"),
        ({"set": ["loss.distill={teacher: ./nowhere}"]}, InputError, "no model './nowhere'"),
        ({"load": {"task": "Find the text"}}, InputError, "the instruction 'Find the text' for a model whose prompts"),
        ({"load": {"dims": 5000}}, InputError, "5000"),
        ({"set": ["tuning.rank=5000"]}, ModelError, "rank 5,000; expected at most 32, the width of the model's states"),
        ({"set": ["tuning.first_layer=9"]}, ModelError, "first_layer 9; expected below the"),
        ({"set": ["loss.mrl_dims=[8, 64]"]}, InputError, "64"),
        ({"set": ["model.dims=5000"]}, InputError, "5000"),
        ({"trained": False, "load": {"task": "nosuch"}}, InputError, "task 'nosuch'"),
        ({"set": ["base.source=${models}/broken"]}, ModelError, "broken"),
        (
            {"set": ['model.prompts={query: "' + "word " * 20 + '"}']},
            InputError,
            "tokens of a query, and batch.max_query_tokens is 60; expected room for a text behind it; raise batch.",
        ),
    ],
)
def test_what_a_model_refuses_is_said_before_the_first_run(study, data, models, odd, kind, message):
    (models / "broken").mkdir(exist_ok=True)
    with pytest.raises(kind) as caught:
        check(study(variants={"base": {}, "odd": odd}), data)
    assert str(caught.value).startswith("variant odd of study tiny: ")
    assert message in str(caught.value)


def test_models_that_do_not_fit_the_disk_are_refused(study, data, tmp_path, monkeypatch):
    material = Material.read(study(seeds=[0, 1, 2]), data)
    check_room(material.runs, tmp_path / "out", keep_models=True)
    monkeypatch.setattr(checking, "free_disk", lambda _: 1)
    with pytest.raises(StorageError, match=r"out has 0\.0 GB free; expected 0\.0 GB for two of the study's models at"):
        check_room(material.runs, tmp_path / "out", keep_models=False)
    check_room([], tmp_path / "out", keep_models=True)
    alone = Material.read(study(recipe=recipe(tuning={"rank": 2, "alpha": 4, "merge": False})), data)
    check_room(alone.runs, tmp_path / "out", keep_models=False)
