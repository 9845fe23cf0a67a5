import errno
import fcntl
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimvec.cli.embed import KEYS
from slimvec.engine.embedder import Embedder
from tests.cli.conftest import LINES


def embed(slimvec, model, source, output, *options):
    return slimvec("embed", "--model", model, "--role", "document", "--input", source, "--output", output, *options)


def reference(model, texts=LINES, **options):
    return Embedder.load(model).embed(list(texts), role="document", **options)


def test_npy_holds_the_vectors_in_order(slimvec, model, texts):
    result = embed(slimvec, model, texts, "v.npy", "--json").json
    expected = reference(model)
    np.testing.assert_allclose(np.load("v.npy"), expected.vectors, atol=1e-6)
    assert set(result) == set(KEYS)
    assert (result["num_texts"], result["dims"], result["num_tokens"]) == (4, 32, expected.num_tokens)
    assert (result["role"], result["prompt"], result["num_truncated"]) == ("document", "", 0)
    assert set(result["model"]) == {"source", "revision", "identity", "sha256", "dims", "dtype", "engine", "spec"}


def test_parquet_holds_ids_texts_and_vectors_and_says_how_they_were_made(slimvec, model, tmp_path):
    rows = [{"id": "a", "text": "first text"}, {"_id": 7, "text": "second"}, {"text": "third"}]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = embed(slimvec, model, source, "v.parquet", "--json").json
    table = pq.read_table("v.parquet")
    assert table.column("id").to_pylist() == ["a", "7", "3"]
    assert table.column("text").to_pylist() == ["first text", "second", "third"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 32)
    vectors = np.array(table.column("vector").to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(vectors, reference(model, [row["text"] for row in rows]).vectors, atol=1e-6)
    metadata = json.loads(pq.read_metadata("v.parquet").metadata[b"slimvec"])
    assert metadata["model"] == result["model"]
    assert (metadata["prompt"], metadata["num_truncated"], metadata["num_texts"]) == ("", 0, 3)


def test_titles_are_embedded_when_asked_and_else_said_to_be_left_out(slimvec, model, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"title": "T", "text": "one"}\n{"title": "U", "text": "two"}\n')
    with_titles = embed(slimvec, model, "t.jsonl", "with.parquet", "--titles")
    assert (with_titles.code, with_titles.err) == (0, "")
    table = pq.read_table("with.parquet")
    assert table.column("text").to_pylist() == ["T one", "U two"]
    vectors = np.array(table.column("vector").to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(vectors, reference(model, ["T one", "U two"]).vectors, atol=1e-6)
    without = embed(slimvec, model, "t.jsonl", "without.npy")
    assert without.err == "2 texts have a title, which is left out; --titles puts it before the text\n"
    np.testing.assert_allclose(np.load("without.npy"), reference(model, ["one", "two"]).vectors, atol=1e-6)


def test_many_blocks_give_the_same_as_one(slimvec, model, texts, monkeypatch):
    embed(slimvec, model, texts, "whole.npy")
    embed(slimvec, model, texts, "whole.parquet")
    monkeypatch.setattr("slimvec.cli.blocks.BLOCK", 3)
    embed(slimvec, model, texts, "parts.npy")
    embed(slimvec, model, texts, "parts.parquet")
    np.testing.assert_allclose(np.load("parts.npy"), np.load("whole.npy"), atol=1e-6)
    assert pq.ParquetFile("parts.parquet").num_row_groups == 2
    assert pq.read_table("parts.parquet").column("id").to_pylist() == ["1", "2", "3", "4"]


def test_role_task_dims_and_field_reach_the_model(slimvec, model, tmp_path):
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"body": LINES, "other": [1, 2, 3, 4]}), source)
    result = slimvec(
        "embed", "-m", model, "--role", "query", "--task", "Find it at once", "-i", source, "-o", "v.npy", "--field",
        "body", "--dims", 8, "--json",
    ).json  # fmt: skip
    expected = Embedder.load(model).embed(LINES, role="query", task="Find it at once", dims=8)
    np.testing.assert_allclose(np.load("v.npy"), expected.vectors, atol=1e-6)
    assert result["prompt"] == "Instruct: Find it at once\nQuery:\n"
    assert result["dims"] == 8


def test_people_are_told_what_was_done_and_what_was_cut_off(slimvec, model, tmp_path):
    source = tmp_path / "long.txt"
    source.write_text("short\n" + "x" * 500 + "\n", encoding="utf-8")
    outcome = embed(slimvec, model, source, "v.npy")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].startswith("2 texts, 205 tokens in ")
    assert outcome.out.splitlines()[1] == "v.npy: 2 vectors of 32 float32"
    assert outcome.err == "1 text was longer than 200 tokens and was truncated\n"


def test_a_dtype_that_is_slow_here_is_used_and_told_with_its_factor(slimvec, model, texts, monkeypatch):
    monkeypatch.setattr("slimvec.engine.fused.decoder._choose_kernel", lambda *_, **__: ("torch", "made"))
    monkeypatch.setattr("slimvec.engine.loading.slowness", lambda *_: "bfloat16 products take 52 times as long")
    outcome = embed(slimvec, model, texts, "v.npy", "--dtype", "bfloat16")
    assert outcome.code == 0
    assert outcome.err == f"{model}: bfloat16 products take 52 times as long\n"
    assert embed(slimvec, model, texts, "v2.npy").err == ""


def test_an_existing_output_needs_force(slimvec, model, texts, tmp_path):
    (tmp_path / "v.npy").write_text("mine")
    outcome = embed(slimvec, model, texts, "v.npy")
    assert outcome.code == 2
    assert outcome.error == "error: output v.npy exists; expected a new path; pass --force to replace it"
    assert (tmp_path / "v.npy").read_text() == "mine"
    assert embed(slimvec, model, texts, "v.npy", "--force").code == 0
    assert np.load("v.npy").shape == (4, 32)


BAD_FILES = {
    "empty line": ("a.txt", b"good\n\nbad\n", "error: a.txt:2: the line is empty; expected some text; leave it out"),
    "no texts": ("a.txt", b"", "error: a.txt has no texts; expected at least one"),
    "no utf-8": ("a.txt", b"good\n\xff\n", "error: a.txt:2: byte 1 is 0xff, which is no UTF-8;"),
    "no json": ("a.jsonl", b'{"text": "a"}\n{"text": \n', "error: a.jsonl:2: no JSON ("),
    "no field": ("a.jsonl", b'{"body": "a"}\n', "error: a.jsonl:1: no field 'text'; expected the text there; name its"),
    "empty text": ("a.jsonl", b'{"text": "a"}\n{"text": " "}\n', "error: a.jsonl:2: text is empty; expected some"),
    "a number": ("a.jsonl", b'{"text": 5}\n', "error: a.jsonl:1: text is a int (5); expected a string"),
    "torn gzip": ("a.jsonl.gz", b"\x1f\x8b\x08\x00", "error: a.jsonl.gz cannot be read after line 0:"),
    "no parquet": ("a.parquet", b"nonsense", "error: a.parquet cannot be read after row 0:"),
    "unknown kind": ("a.doc", b"x", "error: a.doc is of an unknown kind; expected a name ending in .txt, .jsonl"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_its_line(case, slimvec, model, tmp_path, only):
    name, content, message = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    outcome = embed(slimvec, model, name, "v.npy", "--json")
    assert outcome.code == 2
    assert outcome.error.startswith(message)
    only(name)


def test_a_text_without_tokens_is_named_with_its_line(slimvec, tmp_path):
    (tmp_path / "a.txt").write_text("good\n\u200b\n", encoding="utf-8")
    outcome = slimvec("embed", "-m", blind_model(tmp_path), "--role", "query", "-i", "a.txt", "-o", "v.npy")
    assert outcome.code == 2
    assert outcome.error.startswith(
        "error: a.txt:2: text '\\u200b' has no tokens of its own; expected text the tokenizer"
    )
    assert not (tmp_path / "v.npy").exists()
    assert not list(tmp_path.glob(".v*"))


def blind_model(tmp_path):
    """A model whose tokenizer drops the zero-width space."""
    from tokenizers import normalizers

    from slimvec.model.folder import save_model
    from slimvec.text.tokenizer import Tokenizer
    from tests import tiny

    model = tiny.embedding_model()
    backend = model.tokenizer.backend
    backend.normalizer = normalizers.Replace("\u200b", "")
    model.tokenizer = Tokenizer(backend, max_tokens=200)
    save_model(model, tmp_path / "blind")
    return tmp_path / "blind"


def test_bad_models_are_told_in_one_line(slimvec, model, texts, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken, ignore=shutil.ignore_patterns("tokenizer.json"))
    outcome = embed(slimvec, "broken", texts, "v.npy")
    assert outcome.code == 2
    assert outcome.error == "error: broken has no tokenizer.json; expected a model folder with its tokenizer"

    manifest = json.loads((broken / "slimvec.json").read_text())
    manifest["spec"]["attention"] = "bidirectional"
    (broken / "slimvec.json").write_text(json.dumps(manifest))
    (broken / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    outcome = embed(slimvec, "broken", texts, "v.npy")
    assert outcome.code == 2
    assert "attention" in outcome.error or "attend" in outcome.error

    outcome = embed(slimvec, model, texts, "v.npy", "--dims", 64)
    assert outcome.code == 2
    assert "dims" in outcome.error
    assert "32" in outcome.error

    outcome = embed(slimvec, model, texts, "v.npy", "--task", "unknown", "--role", "query")
    assert outcome.code == 2
    assert outcome.error.startswith("error: task 'unknown'; expected one of retrieval, or a whole instruction in words")
    assert not [path for path in tmp_path.iterdir() if "v.npy" in path.name]


@pytest.mark.parametrize("output", ["v.npy", "v.parquet"])
def test_a_full_disk_leaves_nothing(output, slimvec, model, texts, only, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    kind = "_NpyWriter" if output == "v.npy" else "_ParquetWriter"
    monkeypatch.setattr(f"slimvec.data.vector_files.{kind}.write", full)
    outcome = embed(slimvec, model, texts, output)
    assert outcome.code == 2
    assert outcome.error == (
        f"error: cannot write {output}: no space left on device; free some space or choose another place"
    )
    only("texts.txt")


def test_a_file_that_grows_meanwhile_is_an_error(slimvec, model, texts, monkeypatch, only):
    monkeypatch.setattr("slimvec.cli.embed._count", lambda *_, **__: 5)
    outcome = embed(slimvec, model, texts, "v.npy")
    assert outcome.code == 2
    assert outcome.error == "error: the input changed while it was read: now 4 texts; expected 5 texts"
    only("texts.txt")


def test_a_real_process_prints_one_json_object_and_nothing_else(process, model, texts):
    outcome = process(
        "embed", "--model", model, "--role", "query", "--input", texts, "--output", "v.npy", "--json", "--quiet"
    )
    assert outcome.json["num_texts"] == 4
    assert outcome.err == ""


def test_an_output_that_another_process_writes_is_refused_before_the_model_is_loaded(slimvec, texts, tmp_path):
    with (tmp_path / ".v.npy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print("process 7 on there (slimvec embed, since noon)", file=lock, end="", flush=True)
        error = embed(slimvec, "no-such-model", texts, "v.npy").error
    assert error == (
        "error: another process writes v.npy: process 7 on there (slimvec embed, since noon); expected one at a time; "
        "wait for it or stop it, or choose another output"
    )


def test_a_model_that_is_not_named_is_the_default_one_and_is_said(slimvec, model, texts, monkeypatch):
    monkeypatch.setattr("slimvec.cli.models.DEFAULT_MODEL", str(model))
    result = slimvec("embed", "--role", "query", "--input", texts, "--output", "v.npy", "--json")
    assert f"model: {model}, the default; --model takes another" in result.err
    assert result.json["model"]["source"] == str(model)
    slimvec("explain", "a cat", "a dog")
