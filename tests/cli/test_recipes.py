"""The recipes that come with slimvec: the tiny one runs, the others are resolved as far as there is no weight."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from slimvec.cli.train import KEYS

RECIPES = Path(__file__).parents[2] / "recipes"
WORDS = ("file", "list", "time", "number", "folder", "error", "socket", "tree", "colour", "letter", "page", "house")
STAGES = {
    "kalm-v1": ["weak", "supervised"],
    "kalm-v2": ["weak", "supervised"],
    "kalm-v2.5": ["weak", "supervised", "distilled"],
    "smollm2-135m": ["weak", "supervised"],
    "gemma3-270m": ["weak", "supervised"],
    "slimvec-en": ["texts", "pairs"],
    "slimvec-en-small": ["texts", "texts-again", "pairs"],
    "slimvec-multi": ["texts", "pairs"],
    "slimvec-kalm": ["texts", "pairs"],
    "tiny": [""],
}


def test_no_recipe_is_left_out():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_dry_run_resolves_all_but_the_weights(slimvec, name, only):
    plan = slimvec("train", RECIPES / f"{name}.yaml", "--data", "nowhere", "--dry-run", "--json").json["plan"]
    assert [stage["name"] for stage in plan["stages"]] == STAGES[name]
    assert plan["base_found"] is None
    sources = [source for stage in plan["stages"] for source in stage["sources"]]
    assert {source["path"] for source in sources} <= set(plan["missing"])
    assert all(path.startswith("nowhere/") for path in plan["missing"])
    only()


def test_a_packed_adapter_has_its_token_embeddings_in_8_bits_and_the_same_update():
    pack = runpy.run_path(str(RECIPES / "pack_model.py"))["narrowed"]
    numbers = torch.Generator().manual_seed(1)
    name = "base_model.model.embed_tokens.lora_embedding_{}"
    tensors = {
        name.format("A"): torch.randn(8, 400, generator=numbers) * 0.04,
        name.format("B"): torch.randn(32, 8, generator=numbers) * 0.05,
        "base_model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.randn(4, 32, generator=numbers),
    }
    found = pack(tensors)
    long, short, layer = (found[key] for key in tensors)
    assert (long.dtype, short.dtype, layer.dtype) == (torch.float8_e4m3fn, torch.bfloat16, torch.bfloat16)
    assert 224 < float(long.float().abs().max()) <= 448
    expected = tensors[name.format("B")] @ tensors[name.format("A")]
    error = float((short.float() @ long.float() - expected).norm() / expected.norm())
    assert error < 0.04


def test_people_are_told_what_is_missing(slimvec):
    outcome = slimvec("train", RECIPES / "kalm-v2.5.yaml", "--data", "nowhere", "--dry-run")
    lines = outcome.out.splitlines()
    assert lines[0] == "base Qwen/Qwen2-0.5B: not on this machine, would be fetched"
    assert lines[1] == ("stage 1, weak: contrastive, full, bidirectional attention, steps not known without the data")
    assert lines[2] == "  nowhere/weak/pairs.jsonl.gz: missing"
    assert "missing: 5 files of data" in lines


def test_a_dry_run_counts_what_is_there(slimvec, tmp_path, model, only):
    rows = [{"query": f"a {word}", "positive": f"about the {word}"} for word in WORDS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = [f"base.source={json.dumps(str(model))}", "run={epochs: 2}", "batch.pairs=5", "validation={count: 2}"]
    result = slimvec("train", RECIPES / "tiny.yaml", *overrides, "--data", tmp_path, "--dry-run", "--json").json
    assert set(result) == set(KEYS)
    plan = result["plan"]
    assert plan["base_found"] == str(model)
    (stage,) = plan["stages"]
    assert (stage["num_held_out"], stage["steps_per_epoch"], stage["steps"]) == (2, 2, 4)
    assert stage["sources"] == [
        {"path": str(tmp_path / "pairs.jsonl"), "present": True, "num_records": 12, "unread": []}
    ]
    only("pairs.jsonl")


def test_the_tiny_recipe_runs(slimvec, tmp_path, model):
    rows = [{"query": f"a {word}", "positive": f"about the {word}"} for word in WORDS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = f"base.source={json.dumps(str(model))}"
    settings = ["validation={count: 2, every_steps: 2}", "batch={max_query_tokens: 200, max_document_tokens: 200}"]
    result = slimvec(
        "train", RECIPES / "tiny.yaml", base, *settings, "--data", tmp_path, "--output", "out", "--json"
    ).json
    assert result["steps"] == 4
    assert result["validation"]["best"]["step"] in (2, 4)
    assert 0 <= result["validation"]["first_score"] <= 1


def test_an_output_is_asked_for(slimvec):
    outcome = slimvec("train", RECIPES / "tiny.yaml")
    assert outcome.code == 2
    assert outcome.error == "error: no --output; expected the folder to write the model into; or pass --dry-run"


def test_a_base_that_is_none(slimvec):
    outcome = slimvec("train", RECIPES / "tiny.yaml", "base.source=/no/where", "--dry-run")
    assert outcome.code == 2
    assert outcome.error.startswith("error: no model '/no/where': no such folder or file; expected a folder")
