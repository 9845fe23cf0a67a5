"""`embed` on texts that have no vector, and commands that would print or write NaN."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from slimvec.model.folder import save_model
from tests import tiny


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    """A model that overflows for one byte alone: its weights are numbers and its golden vectors too."""
    model = tiny.embedding_model("bert", "bidirectional")
    token = tiny.tokenizer_backend().encode("\u0007").ids[0]
    with torch.no_grad():
        model.backbone.hf_model.embeddings.word_embeddings.weight[token] = 3e38
    folder = tmp_path_factory.mktemp("models") / "fragile"
    save_model(model, folder)
    return folder


@pytest.fixture
def lines(tmp_path):
    """A file with a text that is empty, one of blanks and one that the model overflows for."""
    path = tmp_path / "lines.jsonl"
    texts = ["first", "", "a bell \u0007", "second", "  "]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_a_text_with_a_vector_of_nan_is_named_and_nothing_is_written(slimvec, fragile, tmp_path, only):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "fine"}\n{"text": "a bell \\u0007"}\n')
    ended = slimvec("embed", "-m", fragile, "--role", "document", "-i", path, "-o", "out.npy")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        f"error: {path}:2: text 'a bell \\x07' has a vector with NaN or infinity; expected numbers; "
        "load the model with --dtype float32"
    )
    only("texts.jsonl")


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_skipped_texts_are_counted_and_named(suffix, slimvec, fragile, lines):
    out = f"out.{suffix}"
    ended = slimvec(
        "embed", "-m", fragile, "--role", "document", "-i", lines, "-o", out, "--on-bad", "skip", "--json", "-q"
    )
    report = ended.json
    assert report["num_texts"] == 2
    assert report["skipped"] == [
        {"place": f"{lines}:2", "reason": "is empty"},
        {"place": f"{lines}:3", "reason": "has a vector with NaN or infinity"},
        {"place": f"{lines}:5", "reason": "is empty"},
    ]
    if suffix == "npy":
        vectors = np.load(out)
    else:
        table = pq.read_table(out)
        assert table["id"].to_pylist() == ["1", "4"]
        vectors = np.stack(table["vector"].to_numpy())
    assert vectors.shape == (2, 32)
    assert np.isfinite(vectors).all()


def test_what_was_skipped_is_told(slimvec, fragile, lines):
    ended = slimvec("embed", "-m", fragile, "--role", "document", "-i", lines, "-o", "o.npy", "--on-bad", "skip")
    assert ended.code == 0
    assert f"3 texts were skipped, the first at {lines}:2, which is empty" in ended.err
    assert "o.npy: 2 vectors of 32 float32" in ended.out


def test_search_prints_no_nan(slimvec, fragile, tmp_path):
    path = tmp_path / "documents.jsonl"
    path.write_text('{"text": "fine"}\n{"text": "a bell \\u0007"}\n')
    ended = slimvec("search", "-m", fragile, "-d", path, "what")
    assert ended.code == 2
    assert "documents.jsonl:2: text 'a bell \\x07' has a vector with NaN" in ended.err
    assert "nan" not in ended.out


@pytest.mark.parametrize("vectors", ["float32", "binary"])
def test_an_index_names_a_text_without_a_vector_and_finds_the_others(vectors, slimvec, fragile, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.txt").write_text("a bell \u0007")
    alone = slimvec("index", "docs", "-m", fragile, "--to", "index", "--vectors", vectors)
    assert alone.code == 0
    assert "a.txt: chunk 1 has no vector" in alone.out + alone.err
    (tmp_path / "docs/b.txt").write_text("turtles swim")
    assert slimvec("index", "--to", "index").code == 0
    found = slimvec("search", "--index", "index", "turtles", "--json", "-q")
    assert "NaN" not in found.out
    assert found.json["results"][0]["hits"][0]["path"].endswith("b.txt")
