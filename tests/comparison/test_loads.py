"""Variants that read a model otherwise than it was trained."""

import pytest

from slimvec.comparison.plan import Material
from slimvec.comparison.runs import run_study
from slimvec.engine import frozen
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from tests import tiny
from tests.comparison.conftest import STUDY

CALIBRATED = {"base": {}, "calibrated": {"load": {"recency": 4}}}


def test_calibrated_attention_is_of_the_reading_alone(study, data, tmp_path, quiet, monkeypatch):
    loaded = []
    load = Embedder.load.__func__
    monkeypatch.setattr(
        Embedder, "load", classmethod(lambda cls, *a, **k: loaded.append(load(cls, *a, **k)) or loaded[-1])
    )
    base, calibrated = run_study(Material.read(study(variants=CALIBRATED), data), tmp_path / "out", watcher=quiet)
    assert quiet.trained == [("base", 0)]
    assert [embedder.spec.recency for embedder in loaded] == [0, 4]
    assert base.key != calibrated.key
    vectors = [embedder.embed(["one two three four five"]).vectors for embedder in loaded]
    assert abs(vectors[0] - vectors[1]).max() > 1e-4


def test_calibration_of_a_model_that_looks_both_ways_is_refused_when_the_study_is_read(study):
    both_ways = {"load": {"recency": 1}, "set": ["model.attention=bidirectional"]}
    message = r"variant calibrated of study .*: recency 1 of bidirectional attention; expected causal attention"
    with pytest.raises(InputError, match=message):
        study(variants={"base": {}, "calibrated": both_ways})


def test_texts_read_twice_are_a_variant_of_the_same_base(study, data, tmp_path, quiet):
    variants = {"base": {"trained": False}, "echo": {"trained": False, "load": {"echo": True}}}
    asked = study(variants=variants, reference="base")
    base, echo = run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet)
    assert quiet.trained == []
    assert (echo.variant, base.variant) == ("echo", "base")
    assert base.key != echo.key
    assert base.tasks[0].subsets != echo.tasks[0].subsets
    assert "echo" not in asked.cells["base"].load.hashed()  # older results keep their keys
    both_ways = {"load": {"echo": True}, "set": ["model.attention=bidirectional"]}
    with pytest.raises(InputError, match="echo of bidirectional attention; expected causal attention"):
        study(variants={"base": {}, "echo": both_ways})


def test_first_layers_alone_are_a_variant_of_an_untrained_base(study, data, tmp_path, quiet):
    tiny.save_causal_model(tmp_path / "plain", max_position_embeddings=512)
    plain = {"trained": False, "set": [f"base.source={tmp_path / 'plain'}"]}
    asked = study(variants={"base": plain, "shallow": plain | {"load": {"num_layers": 1}}}, reference="base")
    base, shallow = run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet)
    assert (shallow.variant, quiet.trained) == ("shallow", [])
    assert base.tasks[0].subsets != shallow.tasks[0].subsets
    assert "num_layers" not in asked.cells["base"].load.hashed()  # older results keep their keys
    with pytest.raises(InputError, match=r"variant shallow of study .*: load\.num_layers 1 of a trained model"):
        study(variants={"base": {}, "shallow": {"load": {"num_layers": 1}}})


def test_states_of_the_layers_that_variants_share_are_computed_once(study, data, tmp_path, quiet, monkeypatch):
    computed = []
    real = frozen.open_frozen

    def counting(backbone, number, **given):
        states = real(backbone, number, **given)
        return lambda batch: computed.extend(batch.lengths) or states(batch)

    monkeypatch.setattr(frozen, "open_frozen", counting)
    changes = {
        "recipe": {**STUDY["recipe"], "tuning": {"rank": 2, "alpha": 4, "first_layer": 2, "merge": False}},
        "seeds": [0, 1],
    }
    whole = list(run_study(Material.read(study(**changes), data), tmp_path / "whole", watcher=quiet))
    assert not computed
    kept = {**STUDY["evaluation"], "cache_states": 0.1}
    found = list(run_study(Material.read(study(**changes, evaluation=kept), data), tmp_path / "kept", watcher=quiet))
    assert len(found) == 4
    assert 14 <= len(computed) <= 20  # six queries, eight documents and what the guard of attention asks
    for one, other in zip(whole, found, strict=True):
        assert one.key == other.key
        assert one.tasks[0].score == other.tasks[0].score


def test_readings_with_other_prompts_share_one_model_and_its_documents(study, data, tmp_path, quiet, monkeypatch):
    loaded, embedded = [], []
    load = Embedder.load.__func__
    monkeypatch.setattr(Embedder, "load", classmethod(lambda cls, *a, **k: loaded.append(1) or load(cls, *a, **k)))
    real = Embedder.embed_poolings
    monkeypatch.setattr(
        Embedder,
        "embed_poolings",
        lambda self, texts, *args, role, **more: (
            embedded.append((role, len(texts))) or real(self, texts, *args, role=role, **more)
        ),
    )
    instructed = {"query": "Instruct: {task}\nQuery:\n"}
    readings = {
        "plain": {"load": {"prompts": {}}},
        "told": {"load": {"prompts": instructed, "task": "find what it asks for"}},
        "own": {"load": {"prompts": instructed, "tasks": {"words": "find words"}}},
    }
    together = {
        found.variant: found
        for found in run_study(
            Material.read(study(variants=readings, reference="plain"), data), tmp_path / "out", watcher=quiet
        )
    }
    assert len(loaded) == 1
    sets = len(together["plain"].tasks)
    assert [role for role, _ in embedded].count("document") == sets
    assert [role for role, _ in embedded].count("query") == 3 * sets
    for name, cell in readings.items():
        others = {"base": readings["plain"]} if name != "plain" else {"other": readings["told"]}
        alone = study(variants={name: cell, **others}, reference=name)
        found = next(run for run in run_study(Material.read(alone, data), tmp_path / name, watcher=quiet))
        assert found.tasks[0].score == together[name].tasks[0].score
    assert together["own"].tasks[0].instruction == "find words"
    assert together["own"].tasks[0].subsets[0].prompts["query"] == "Instruct: find words\nQuery:\n"
    assert together["told"].tasks[0].subsets != together["own"].tasks[0].subsets


def test_a_task_for_a_set_that_is_not_scored_is_refused(study):
    with pytest.raises(InputError, match=r"load.tasks of base name 'elsewhere'; the sets are words"):
        study(variants={"base": {"load": {"tasks": {"elsewhere": "find words"}}}, "other": {}})
