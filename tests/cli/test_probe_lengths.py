import pytest

from slimvec.model.folder import save_model
from tests import tiny


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "short"
    save_model(tiny.embedding_model(max_tokens=100), folder)
    return folder


@pytest.mark.parametrize(("options", "longest"), [([], 100), (["--max-tokens", "200"], 200)])
def test_texts_are_as_long_as_the_model_takes_or_as_is_asked_for(slimvec, short, options, longest):
    arguments = ["--only", "length", "--amount", "tiny", "--no-cache", "--json", *options]
    answer = slimvec("probe", "--model", short, *arguments).json["readings"]["length"]["answer"]
    assert answer.startswith(f"From 32 to {longest} tokens")


def test_a_server_has_its_own_limit(slimvec):
    outcome = slimvec("probe", "--model", "http://127.0.0.1:9/v1#m", "--max-tokens", "200")
    assert outcome.code == 2
    assert outcome.error.endswith("max_tokens of a server cannot be chosen; expected it left out")
