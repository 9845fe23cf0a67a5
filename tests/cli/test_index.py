"""`slimvec index` and `search --index`: two commands from a folder to an answer."""

import json

import pytest

from slimvec.cli.index import KEYS
from slimvec.cli.search import KEYS as SEARCH_KEYS
from tests.search.support import write_documents


@pytest.fixture
def indexed(slimvec, model, tmp_path):
    write_documents(tmp_path / "docs")
    return slimvec("index", "docs", "--to", "ix", "-m", model, "--chunk-tokens", 60, "--json").json


def test_from_a_folder_to_an_answer(slimvec, model, tmp_path, indexed):
    assert set(indexed) == set(KEYS)
    assert (indexed["num_new"], indexed["num_files"], indexed["faults"]) == (4, 4, [])
    outcome = slimvec("search", "where do fish swim", "--index", "ix", "--top", 2)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "where do fish swim"
    assert [line for line in lines if line != line.rstrip()] == []
    assert lines[1].split()[0] == "1"
    assert "docs/animals.jsonl, record f1" in lines[1]
    assert lines[2].strip() == "Fish swim in water."
    found = slimvec("search", "where do fish swim", "--index", "ix", "--json").json
    assert set(found) == set(SEARCH_KEYS)
    (hit, *_) = found["results"][0]["hits"]
    assert hit["path"] == str(tmp_path / "docs" / "animals.jsonl")
    assert "explanation" not in hit
    assert found["model"] == str(model)


@pytest.mark.usefixtures("indexed")
def test_again_it_tells_what_changed(slimvec, tmp_path):
    (tmp_path / "docs" / "weather.txt").unlink()
    (tmp_path / "docs" / "cut.pdf").write_bytes(b"%PDF-1.4")
    outcome = slimvec("index", "--to", "ix")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "files: 1 removed, 3 unchanged"
    assert outcome.err.startswith(f"not read: {tmp_path}/docs/cut.pdf: cannot be read: ")


def test_late_chunks_are_asked_for_once_and_kept(slimvec, model, tmp_path):
    write_documents(tmp_path / "docs")
    made = slimvec("index", "docs", "--to", "late", "-m", model, "--chunk-tokens", 60, "--late", "--json").json
    assert made["num_written"] == made["num_chunks"] > 4
    assert json.loads((tmp_path / "late" / "index.json").read_text())["settings"]["late"] is True
    assert slimvec("search", "where do fish swim", "--index", "late", "--json").json["results"][0]["hits"]
    again = slimvec("index", "--to", "late", "--json").json
    assert (again["num_unchanged"], again["num_written"]) == (4, 0)


@pytest.mark.usefixtures("indexed")
def test_explained(slimvec):
    out = slimvec("search", "fish water", "-x", "ix", "--explain").out
    assert "vector rank " in out
    assert "BM25 " in out
    assert "fused 1/(60+" in out
    assert "hybrid ranking over " in out
    hit = slimvec("search", "fish water", "-x", "ix", "--explain", "--json").json["results"][0]["hits"][0]
    assert {"vector_rank", "cosine", "text_rank", "bm25", "words", "fused"} <= set(hit["explanation"])
    assert (hit["place"], hit["rank"]) == ("record f1", 1)
    long = slimvec("search", "fish " * 400, "-x", "ix", "--json")
    assert "1 query was longer than the model takes and was truncated" in long.err
    assert long.json["results"][0]["query_truncated"]


@pytest.mark.usefixtures("indexed")
def test_filters_and_words_alone(slimvec):
    found = slimvec("search", "cat", "-x", "ix", "--ranking", "text", "--kind", "markdown", "--path", "docs", "--json")
    assert {hit["kind"] for hit in found.json["results"][0]["hits"]} == {"markdown"}
    assert found.json["prompt"] == ""
    out = slimvec("search", "zebra", "-x", "ix", "--ranking", "text").out
    assert "nothing found in" in out


def test_what_documents_write_is_shown_and_not_obeyed(slimvec, model, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "bad\x1b[31m.txt").write_text("\x1b]0;title\x07fish \u202e swim [bold]x[/bold]", encoding="utf-8")
    assert slimvec("index", "docs", "--to", "ix", "-m", model).code == 0
    out = slimvec("search", "fish", "-x", "ix").out
    assert "\x1b" not in out
    assert "\\x1b[31m" in out
    assert "\\u202e swim [bold]x[/bold]" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "--to", "new"], "new is not an index; expected files or folders to make one from"),
        (["index", "nowhere", "--to", "new"], "nowhere does not exist; expected a file or folder; check the path"),
        (["index", "--to", "ix", "--dims", "8"], "ix was made with dims 32, not 8; expected the settings it was made"),
        (["search", "x"], "neither --index nor --documents; expected one of them"),
        (["search", "x", "-x", "ix", "-d", "y.txt"], "both --index and --documents; expected one of them"),
        (["search", "x", "-x", "docs"], "docs is not an index; expected a folder that `slimvec index` made; make one"),
        (["search", "x", "-x", "ix", "--kind", "png"], "kind 'png'; expected one of text, markdown"),
        (["search", "x", "-x", "ix", "--after", "soon"], "day 'soon'; expected a day such as 2026-11-29"),
    ],
)
@pytest.mark.usefixtures("indexed")
def test_wrong_use_is_one_line(slimvec, arguments, message):
    outcome = slimvec(*arguments, "--json")
    assert outcome.code == 2
    assert message in outcome.error


@pytest.mark.usefixtures("indexed")
def test_another_model_is_refused(slimvec, tmp_path):
    path = tmp_path / "ix" / "index.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["identity"]["weights"] = "0" * 64
    path.write_text(json.dumps(said), encoding="utf-8")
    for command in (["search", "x", "-x", "ix"], ["index", "--to", "ix"]):
        outcome = slimvec(*command)
        assert outcome.code == 2
        assert "is not the model that made" in outcome.error
        assert "(its weights)" in outcome.error


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize("option", [("--field", "body"), ("--dims", 16)])
def test_what_an_index_has_settled_is_not_asked_for(slimvec, option):
    outcome = slimvec("search", "fish", "-x", "ix", *option)
    assert (outcome.code, outcome.out) == (2, "")
    said = f"error: {option[0]} beside --index, where it says nothing; expected it with --documents alone"
    assert outcome.error == said


@pytest.mark.usefixtures("indexed")
def test_a_source_is_forgotten(slimvec, tmp_path):
    (tmp_path / "docs").rename(tmp_path / "moved")
    refused = slimvec("index", "--to", "ix")
    assert refused.code == 2
    assert "--forget" in refused.error
    assert slimvec("index", "moved", "--to", "ix", "--forget", "docs", "--json").json["num_removed"] == 4


@pytest.mark.usefixtures("indexed")
def test_reindexed_with_other_settings(slimvec, model):
    again = slimvec("reindex", "ix", "--vectors", "binary", "--dims", 16, "--json").json
    assert (again["num_new"], again["model"]) == (4, str(model))
    found = slimvec("search", "fish", "-x", "ix", "--json").json
    assert found["results"][0]["hits"]
    assert slimvec("index", "--to", "ix", "--vectors", "binary", "--dims", 16).code == 0
    for command in (("reindex", "ix"), ("index", "--to", "ix"), ("search", "fish", "-x", "ix")):
        another = slimvec(*command, "--revision", "v2")  # of the index's own model, which is a folder
        assert (another.code, another.error.startswith("error: revision v2 of ")) == (2, True)
