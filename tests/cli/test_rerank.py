import pytest

from slimvec.cli.rerank import KEYS
from slimvec.engine.embedder import Embedder
from tests import tiny
from tests.cli.conftest import LINES


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "base"
    tiny.save_causal_model(folder)
    return folder


@pytest.mark.parametrize("weight", [None, 0, 1])
def test_documents_in_order(slimvec, base, texts, weight):
    given = () if weight is None else ("--weight", weight)
    result = slimvec("rerank", "files", "-m", base, "-d", texts, *given, "--json").json
    assert set(result) == set(KEYS)
    ranked = Embedder.load(base).rerank("files", LINES, **({} if weight is None else {"weight": weight}))
    assert [row["text"] for row in result["results"]] == [LINES[one.index] for one in ranked]
    assert [row["rank"] for row in result["results"]] == [1, 2, 3, 4]
    assert (result["weight"], result["num_documents"]) == (ranked.weight, 4)
    assert all((row["likelihood"] is None) == (weight == 0) for row in result["results"])
    assert all((row["cosine"] is None) == (weight == 1) for row in result["results"])


def test_people_see_both_judges(slimvec, base, texts):
    outcome = slimvec("rerank", "files", "-m", base, "-d", texts, "--top", 2, "--max-document-tokens", 12)
    lines = outcome.out.splitlines()
    assert (outcome.code, lines[0].strip()) == (0, "files")
    assert lines[1].split() == ["cosine", "likelihood"]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert len(lines) == 5
    assert "were longer than 12 tokens and were truncated" in outcome.err


def test_an_encoder_takes_likelihoods_from_another_model(slimvec, model, base, texts):
    outcome = slimvec("rerank", "files", "-m", model, "-d", texts)
    assert outcome.code == 2
    assert "was trained as an embedding model and says nothing of its base" in outcome.err
    result = slimvec("rerank", "files", "-m", model, "-d", texts, "--language-model", base, "--json").json
    wanted = Embedder.load(base).language_model.log_likelihood(["files"], LINES).values[0]
    assert sorted(row["likelihood"] for row in result["results"]) == pytest.approx(sorted(wanted.tolist()), abs=1e-3)
