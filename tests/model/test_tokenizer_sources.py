import huggingface_hub
import pytest
import tokenizers

from slimvec.errors import FetchError, InputError, ModelError
from slimvec.model.tokenizer_sources import open_tokenizer
from tests import tiny


@pytest.fixture
def folder(tmp_path):
    """A folder whose tokenizer cuts and pads, as that of a sentence-transformers model may."""
    backend = tokenizers.Tokenizer.from_str(tiny.tokenizer_backend().to_str())
    backend.enable_truncation(4)
    backend.enable_padding(length=9)
    (tmp_path / "model").mkdir()
    backend.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


def test_a_folder_and_a_file_give_the_tokenizer_without_limit_or_padding(folder, tmp_path):
    (tmp_path / "other.json").write_bytes((folder / "tokenizer.json").read_bytes())
    for source in (folder, str(folder), folder / "tokenizer.json", tmp_path / "other.json"):
        assert open_tokenizer(source).encode("a long text").ids == tiny.tokenizer_backend().encode("a long text").ids


def test_of_a_hub_name_only_the_tokenizer_is_fetched(folder, monkeypatch):
    asked = []

    def download(name, file, revision):
        asked.append((name, file, revision))
        return str(folder / "tokenizer.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert open_tokenizer("someone/something", revision="main").encode("ab").tokens == ["a", "b"]
    assert asked == [("someone/something", "tokenizer.json", "main")]


def test_what_the_hub_refuses_is_told_in_a_line(monkeypatch):
    def download(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(FetchError) as caught:
        open_tokenizer("someone/something")
    assert str(caught.value).startswith(
        "someone/something is no folder, not in the hub's cache, and could not be downloaded (no route to host); check"
    )


def test_what_is_no_tokenizer_is_refused(tmp_path):
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ModelError, match=r"broken.json cannot be read: .*; expected a tokenizer.json"):
        open_tokenizer(tmp_path / "broken.json")
    with pytest.raises(ModelError, match=r"has no tokenizer.json; expected a model folder with its tokenizer"):
        open_tokenizer(tmp_path)
    with pytest.raises(InputError, match=r"no model 'nothing': no such folder or file"):
        open_tokenizer("nothing")
    with pytest.raises(InputError, match=r"revision main of .*, a folder"):
        open_tokenizer(tmp_path, revision="main")
    with pytest.raises(InputError, match=r"revision main of .*broken.json, a file"):
        open_tokenizer(tmp_path / "broken.json", revision="main")
