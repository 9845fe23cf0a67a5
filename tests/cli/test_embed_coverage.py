"""`slimvec embed --min-coverage`: texts a model cannot read are named, not embedded."""

import json

import pyarrow.parquet as pq
import pytest

from slimvec.model.folder import save_model
from slimvec.text.tokenizer import Tokenizer
from tests import tiny
from tests.text.test_coverage import TIBETAN, words_backend


@pytest.fixture
def narrow(tmp_path):
    """A folder with a model that knows four words."""
    model = tiny.embedding_model()
    model.tokenizer = Tokenizer(words_backend(), max_tokens=200)
    save_model(model, tmp_path / "narrow")
    (tmp_path / "texts.txt").write_text(f"the red cat\nthe dog\nthe {TIBETAN} cat\n", encoding="utf-8")
    return "narrow"


def embed(slimvec, model, *options):
    return slimvec("embed", "-m", model, "--role", "document", "-i", "texts.txt", "-o", "v.parquet", *options)


def test_texts_below_the_limit_are_refused_and_nothing_is_written(slimvec, narrow, tmp_path):
    outcome = embed(slimvec, narrow, "--min-coverage", "0.95", "--json")
    assert outcome.code == 2
    assert outcome.error == (
        f"error: texts.txt:3 ('the {TIBETAN} cat', Tibetan): 46.2% of its characters come back from the model's "
        "tokenizer; 2 of 3 texts are below 95.0%; expected at least 95.0% of every text; choose a model that reads the "
        "script (slimvec tokenizers shows which does), or pass --on-low-coverage warn"
    )
    assert not [path for path in tmp_path.iterdir() if "v.parquet" in path.name]


def test_texts_below_the_limit_are_told_and_embedded(slimvec, narrow):
    outcome = embed(slimvec, narrow, "--min-coverage", "0.95", "--on-low-coverage", "warn", "--json")
    assert outcome.err.startswith("texts.txt:3 (")
    assert outcome.err.count("\n") == 1
    found = outcome.json["coverage"]
    assert (found["min"], found["num_low"], found["place"], found["piece_share"]) == (0.95, 2, "texts.txt:3", 0.0)
    assert found["lowest"] == pytest.approx(6 / 13)
    assert json.loads(pq.read_metadata("v.parquet").metadata[b"slimvec"])["coverage"] == found


def test_texts_that_are_read_pass_in_silence(slimvec, model, tmp_path):
    (tmp_path / "texts.txt").write_text(f"the cat\n{TIBETAN}\n", encoding="utf-8")
    outcome = embed(slimvec, model, "--min-coverage", "1", "--json")
    assert outcome.err == ""
    assert outcome.json["coverage"]["lowest"] == 1
    assert outcome.json["coverage"]["piece_share"] == 0.75


def test_nothing_is_looked_at_unless_asked(slimvec, narrow):
    assert embed(slimvec, narrow, "--json").json["coverage"] is None


def test_a_warning_without_a_limit_is_wrong_use(slimvec, narrow):
    outcome = embed(slimvec, narrow, "--on-low-coverage", "warn")
    assert outcome.code == 2
    assert outcome.error == (
        "error: --on-low-coverage warn without --min-coverage; expected both, or nothing is looked at"
    )


def test_a_limit_that_is_no_share_is_wrong_use(slimvec, narrow):
    outcome = embed(slimvec, narrow, "--min-coverage", "95")
    assert outcome.code == 2
    assert "--min-coverage" in outcome.error
    assert "less than or equal to 1" in outcome.error
