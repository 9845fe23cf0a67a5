import pytest

from tests.probes import parallel

WORDS = parallel.english()


@pytest.fixture
def folders(tmp_path):
    """Data, a tokenizer of bytes and one of words."""
    parallel.write_sentences(tmp_path, parallel.three_languages(WORDS))
    parallel.save_tokenizer(tmp_path / "bytes")
    parallel.save_tokenizer(tmp_path / "files", parallel.words_backend(WORDS), name="words.json")


@pytest.mark.usefixtures("folders")
def test_tokenizers_are_compared_and_written(slimvec, tmp_path):
    result = slimvec("tokenizers", "bytes", "files/words.json", "--data", "data", "-o", "out", "--json").json
    assert [card["name"] for card in result["tokenizers"]] == ["bytes", "words"]
    assert result["measures"]["fertility/bytes/bod_Tibt"]["value"] == pytest.approx(3)
    assert set(result["measures"]["coverage/words/Latin"]) == {"value", "low", "high", "unit"}
    assert result["output"] == "out"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "report.md", "report.json", "plots"}
    refused = slimvec("tokenizers", "bytes", "--data", "data", "-o", "out")
    assert refused.code == 2
    assert refused.error == "error: output out exists; expected a new path; pass --force to replace it"


@pytest.mark.usefixtures("folders")
def test_people_see_an_answer_and_tables(slimvec):
    outcome = slimvec("tokenizers", "bytes/tokenizer.json", "--data", "data", "--quiet")
    assert outcome.code == 0, outcome.err
    assert "Tibetan (bod_Tibt) is read at 3.00" in outcome.out
    assert "Fertility, by script" in outcome.out
    assert "bytes" in outcome.out


@pytest.mark.usefixtures("folders")
def test_wrong_use_is_told_in_a_line(slimvec, tmp_path):
    twice = slimvec("tokenizers", "bytes", "bytes/tokenizer.json", "--data", "data")
    assert twice.code == 2
    assert twice.error.startswith("error: two tokenizers are called 'bytes'; expected different names")
    assert "called 'bytes'" in slimvec("tokenizers", "nothing", "bytes", "bytes").error  # before any is opened
    nowhere = slimvec("tokenizers", "bytes", "--data", "files")
    assert nowhere.error == "error: files has no folder sib200; expected the same sentences in many languages there"
    unknown = slimvec("tokenizers", "nothing")
    assert unknown.error.startswith("error: no model 'nothing': no such folder or file; expected a folder")
    (tmp_path / "broken.json").write_text("{}")
    broken = slimvec("tokenizers", "broken.json")
    assert broken.code == 2
    assert broken.error.startswith("error: broken.json cannot be read: ")
    empty = slimvec("tokenizers", "data")
    assert empty.error == "error: data has no tokenizer.json; expected a model folder with its tokenizer"


def test_a_real_model_folder_has_a_tokenizer_to_read(slimvec, model, texts):
    result = slimvec("tokenizers", model, "--text-file", texts, "--json").json
    assert result["measures"]["file: coverage/tiny/all texts"]["value"] == 1
