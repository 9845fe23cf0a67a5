import json
import math
from pathlib import Path

import numpy as np
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
        ([], "nothing to adjust; expected --beta, --rope, --axes or --recency"),
        (
            ["--recency", "-o", "out"],
            "--output with --recency alone, which no file keeps; expected --beta, --rope or --axes",
        ),
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


@pytest.fixture
def texts(tmp_path):
    words = ("red", "green", "blue", "old", "new", "house", "river", "tree", "sings", "falls")
    lines = [f"{words[i % 10]} {words[i // 10 % 10]} {words[i // 100 % 10]} {i}" for i in range(260)]
    path = tmp_path / "texts.txt"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_vectors_are_turned_and_kept(slimvec, source, texts):
    outcome = slimvec("adjust", source, "--axes", texts, "--dims", "8,4", "--beta", "1", "-o", "out", "--json")
    assert outcome.code == 0, outcome.err
    rows = outcome.json["axes"]
    assert [row["dims"] for row in rows] == [8, 4]
    assert all(0 < row["after"] < row["before"] for row in rows)
    before, after = Embedder.load(source, pooling=Embedder.load("out").spec.pooling), Embedder.load("out")
    whole = [embedder.embed_documents(["a tree", "an old house"]) for embedder in (before, after)]
    assert after.spec.pooling.beta == 1
    np.testing.assert_allclose(whole[1] @ whole[1].T, whole[0] @ whole[0].T, atol=1e-5)
    assert np.abs(whole[1] - whole[0]).max() > 0.01


def test_what_turning_finds_is_said_without_writing(slimvec, source, texts):
    outcome = slimvec("adjust", source, "--axes", texts, "--dims", "8,4")
    assert outcome.code == 0, outcome.err
    assert [line.split(":")[0] for line in outcome.out.splitlines()] == ["8 dims", "4 dims"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dims", "8"), "--dims without --axes"),
        (("--axes", "TEXTS", "--dims", "8,x"), "--dims 8,x"),
        (("--axes", "TEXTS", "--dims", "4000"), "--dims 4000; expected numbers from 1 to"),
        (("--axes", "FEW"), "2 texts to fit axes by; expected at least 200"),
        (("--axes", "none.txt"), "none.txt"),
    ],
)
def test_what_cannot_be_turned_is_refused(slimvec, source, texts, options, said):
    few = texts.with_name("few.txt")
    few.write_text("one\ntwo\n")
    given = [str({"TEXTS": texts, "FEW": few}.get(option, option)) for option in options]
    outcome = slimvec("adjust", source, *given, "-o", "out")
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not Path("out").exists()
