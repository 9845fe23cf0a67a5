"""`slimvec train` with a teacher: any model that can be loaded."""

import json

import pytest


@pytest.fixture(autouse=True)
def pairs(tmp_path):
    rows = [{"query": f"a {word}", "positive": f"about the {word}"} for word in ("file", "list", "tree", "page")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_model_learns_from_another(slimvec, tmp_path, model):
    (tmp_path / "recipe.yaml").write_text(
        f"base: {{source: {json.dumps(str(model))}}}\n"
        "data: [{path: pairs.jsonl, task: find it}]\n"
        "model: {max_tokens: 200}\n"
        "batch: {pairs: 2, max_query_tokens: 200, max_document_tokens: 200}\n"
        f"loss: {{contrastive: 0, distill: {{teacher: {json.dumps(str(model))}}}}}\n"
        "run: {steps: 2, dtype: fp32}\n",
        encoding="utf-8",
    )
    result = slimvec("train", "recipe.yaml", "--output", "out", "--json").json
    assert result["steps"] == 2
    assert result["first_loss"] < 1e-3  # the student is still its own teacher


def test_pairs_a_step_are_those_of_the_steps_that_have_pairs(slimvec, tmp_path, model):
    (tmp_path / "recipe.yaml").write_text(
        f"base: {{source: {json.dumps(str(model))}}}\n"
        "data: [{path: pairs.jsonl}]\n"
        'model: {prompts: {query: ""}}\n'
        "batch: {pairs: 2}\n"
        "tuning: {merge: false}\n"
        "stages:\n"
        "  - name: texts\n"
        f"    objective: {{kind: text-vectors, teachers: [{json.dumps(str(model))}], texts: 4}}\n"
        "    run: {steps: 3}\n"
        "  - {name: pairs, run: {steps: 2}}\n",
        encoding="utf-8",
    )
    result = slimvec("train", "recipe.yaml", "--output", "out", "--json").json
    assert (result["steps"], result["pairs_per_step"], result["negatives_per_pair"]) == (5, 2, 1)
