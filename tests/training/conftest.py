"""A tiny base on disk, pairs, and a recipe for them."""

import json

import pytest

from slimvec.model.folder import save_model
from slimvec.training.recipe.reading import parse_recipe
from tests import tiny
from tests.training import support


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "model"
    save_model(tiny.embedding_model(), folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = ({"query": r.query, "positives": r.positives, "negatives": r.negatives} for r in support.records())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def recipe(base, pairs):
    def make(*overrides):
        return parse_recipe(support.RECIPE, overrides=[f"base.source={base}", f"data.0.path={pairs}", *overrides])

    return make
