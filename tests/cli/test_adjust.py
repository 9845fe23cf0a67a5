import json
import math
from pathlib import Path

import pytest

from slimvec.cli.adjust import KEYS
from slimvec.engine.embedder import Embedder
from slimvec.model.folder import save_model
from tests import tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    # One byte is one token, so sentences need room; the width leaves room for a regression on them.
    save_model(tiny.embedding_model(max_tokens=1000), folder)
    return folder


def test_a_beta_is_fitted_and_kept(slimvec, source):
    result = slimvec("adjust", source, "--beta", "fit", "--amount", "tiny", "-o", "out", "--json").json
    assert set(result) == set(KEYS)
    distances = {tried["value"]: abs(math.log(tried["ratio"])) for tried in result["betas"]}
    assert result["beta"] == min(distances, key=distances.get)
    assert all(tried["low"] <= tried["ratio"] <= tried["high"] for tried in result["betas"])
    assert Embedder.load("out").spec.pooling.beta == result["beta"]


def test_a_scaling_is_kept(slimvec, source):
    outcome = slimvec("adjust", source, "--rope", "yarn:2", "--beta", "1", "--max-tokens", "400", "-o", "out")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "out: beta 1, rope yarn:2\n"
    assert json.loads(Path("out/config.json").read_text())["rope_parameters"]["rope_type"] == "yarn"
    assert Embedder.load("out").spec.max_tokens == 400


def test_scalings_are_swept(slimvec, source):
    result = slimvec("adjust", source, "--rope", "sweep", "--lengths", "128,300", "--amount", "tiny", "--json").json
    assert [score["rope"] for score in result["sweep"]][:3] == [None, "theta:2", "theta:4"]
    assert len(result["sweep"]) == 9
    assert list(result["sweep"][0]["by_length"]) == ["128", "300"]
    assert result["sweep"][0]["gain"] == 0
    chosen = {score["rope"]: score for score in result["sweep"]}[result["rope"]]
    assert result["rope"] is None or chosen["low"] > 0
    assert result["output"] is None


def test_recency_is_found_and_told(slimvec, source):
    outcome = slimvec("adjust", source, "--recency", "--amount", "tiny")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("flattest") == 1
    assert outcome.out.startswith("recency 0: first third over last ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to adjust; expected --beta, --rope or --recency"),
        (["--recency", "-o", "out"], "--output with --recency alone, which no file keeps; expected --beta or --rope"),
        (
            ["--beta", "1", "--rope", "yarn:2"],
            "nothing to find, and no --output to write to; expected --output",
        ),
        (["--beta", "x", "-o", "out"], "--beta x; expected fit, or a number from 0"),
        (["--beta", "nan", "-o", "out"], "--beta nan; expected fit, or a number from 0"),
        (["--beta", "inf", "-o", "out"], "--beta inf; expected fit, or a number from 0"),
        (["--rope", "yarn", "-o", "out"], "rope scaling 'yarn': factor: "),
        (["--rope", "yarn:2", "--lengths", "1,2", "-o", "out"], "--lengths without --rope sweep; expected both"),
        (["--rope", "sweep", "--lengths", "1,b"], "--lengths 1,b; expected whole numbers with commas between them"),
    ],
)
def test_wrong_use_is_one_line(slimvec, source, arguments, message):
    outcome = slimvec("adjust", source, *arguments)
    assert outcome.code == 2
    assert message in outcome.error
