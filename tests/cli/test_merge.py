import json

import pytest

from slimvec.cli.merge import KEYS
from slimvec.engine.embedder import Embedder
from slimvec.model.folder import save_model
from tests import tiny


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        save_model(tiny.embedding_model(seed=seed), folder / f"m{seed}")
    return [folder / "m1", folder / "m2"]


@pytest.fixture
def pairs(tmp_path):
    rows = [{"query": f"a {word}", "positive": f"about the {word}"} for word in ("file", "tree", "page", "house")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "pairs.jsonl"


def test_one_model_out_of_two(slimvec, models):
    result = slimvec("merge", *models, "--weights", "3,1", "-o", "out", "--json").json
    assert set(result) == set(KEYS)
    assert [parent["weight"] for parent in result["parents"]] == [0.75, 0.25]
    assert result["method"] == "linear"
    assert Embedder.load("out").dims == 32


def test_a_soup_on_pairs(slimvec, models, pairs):
    result = slimvec("merge", *models, "--method", "soup", "--data", pairs, "-o", "out", "--json").json
    assert result["score"] >= max(parent["score"] for parent in result["parents"])
    assert sum(parent["weight"] for parent in result["parents"]) == 1


def test_a_soup_on_retrieval_sets(slimvec, models, tmp_path):
    (tmp_path / "sets" / "one").mkdir(parents=True)
    rows = {
        "corpus": [{"id": "d1", "text": "about the file"}, {"id": "d2", "text": "about the tree"}],
        "queries": [{"id": "q1", "text": "a file"}],
        "qrels": [{"query_id": "q1", "doc_id": "d1", "score": 1}],
    }
    for name, content in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / "sets" / "one" / f"{name}.jsonl").write_text(text)
    outcome = slimvec("merge", *models, "--method", "soup", "--data", "sets", "-o", "out")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1].startswith("out: soup, nDCG@10 ")
    with (tmp_path / "sets" / "one" / "qrels.jsonl").open("a") as file:
        file.write('{"query_id": "q1", "doc_id": "gone", "score": 1}\n')
    refused = slimvec("merge", *models, "--method", "soup", "--data", "sets", "-o", "new", "--strict")
    assert (refused.code, "unknown document gone" in refused.error) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "soup"], "a soup without --data; expected --data with --method soup, and only there"),
        (["--data", "x.jsonl"], "--data for linear; expected --data with --method soup, and only there"),
        (["--weights", "1,b"], "--weights 1,b; expected numbers with commas between them"),
        (["--method", "soup", "--data", "x", "--weights", "1,2"], "--weights for a soup; expected none"),
    ],
)
def test_wrong_use(slimvec, models, arguments, message):
    outcome = slimvec("merge", *models, *arguments, "-o", "out")
    assert outcome.code == 2
    assert message in outcome.error
