"""`slimvec plan`: what a recipe needs, for people and for machines."""

import pytest

from slimvec.cli.plan import parse_size
from slimvec.errors import InputError
from slimvec.model.folder import save_model
from tests import tiny

RECIPE = """\
base: {source: base}
data: [{path: none.jsonl}]
batch: {pairs: 8, negatives: 0, max_query_tokens: 20, max_document_tokens: 30}
tuning: {rank: 2, alpha: 4}
run: {steps: 1, dtype: fp32}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tiny.embedding_model(), tmp_path / "base")
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path / "r.yaml"


def test_a_plan_for_people(slimvec, recipe):
    outcome = slimvec("plan", recipe, "--memory", "64GB")
    assert outcome.code == 0
    assert "a step: at most 400 tokens, " in outcome.out
    assert "the recipe fits 64.00 GB; batch.micro_batch_tokens=16384 batch.graph_tokens=" in outcome.out
    outcome = slimvec("plan", recipe, "--memory", "1MB")
    assert "1.0 MB are not enough for any piece; try batch.gradient_checkpointing=true" in outcome.out


def test_a_size_that_is_none(slimvec, recipe):
    outcome = slimvec("plan", recipe, "--memory", "much")
    assert (outcome.code, outcome.error) == (2, "error: memory 'much'; expected a size such as 24GB or 16GiB")


@pytest.mark.parametrize(
    ("text", "size"), [("24GB", 24 * 10**9), ("1.5 GiB", 3 << 29), ("512M", 512 * 10**6), ("100", 100), ("2kb", 2000)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_sizes_below_zero_are_none():
    with pytest.raises(InputError):
        parse_size("-1GB")
