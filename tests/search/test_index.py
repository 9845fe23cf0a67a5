"""Indexes: what is on disk and nothing else, whatever changed, stopped or was killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.search import blocks
from slimvec.search.index import Index
from slimvec.search.migration import migrate
from tests.search.support import CATS, contents, make_index, save_tiny


@pytest.fixture
def index(tmp_path, embedder, model, documents):
    return make_index(tmp_path / "index", embedder, documents, model=model)


def test_a_second_run_reads_only_what_changed(tmp_path, index, documents, embedder, model):
    first = contents(index)
    again = index.update()
    assert (again.num_unchanged, again.num_written, again.num_chunks) == (4, 0, len(first))
    os.utime(documents / "cats.md")  # touched, with the same contents
    assert index.update().num_unchanged == 4
    (documents / "cats.md").write_text("# Cats\n\nThey purr.\n", encoding="utf-8")
    (documents / "weather.txt").unlink()
    (documents / "new.html").write_text("<h1>New</h1><p>page", encoding="utf-8")
    (documents / "photo.jpg").write_bytes(b"")
    report = index.update()
    assert (report.num_new, report.num_changed, report.num_removed, report.num_unknown) == (1, 1, 1, 1)
    fresh = make_index(tmp_path / "fresh", embedder, documents, model=model)
    assert contents(index) == contents(fresh)
    assert report.num_chunks == len(contents(index)) == index.num_chunks


def test_files_that_cannot_be_read_are_named_and_the_rest_is_indexed(tmp_path, embedder, documents):
    (documents / "broken.pdf").write_bytes(b"%PDF-1.4 no more")
    (documents / "empty.txt").write_bytes(b"")
    (documents / "bad.jsonl").write_text('{"text": "good"}\n{', encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder, model="m", chunk_tokens=60)
    report = index.update([documents])
    named = {Path(fault.path).name: fault.reason for fault in report.faults}
    assert set(named) == {"broken.pdf", "bad.jsonl"}
    assert named["broken.pdf"].startswith("cannot be read: ")
    assert named["bad.jsonl"].startswith("1 rows left out, the last: ")
    assert any(text == "good" for _, _, text, _, _ in contents(index))
    (documents / "cats.md").write_bytes(b"\0")  # was read before, and is no text any more
    index.update()
    assert not list(index.chunks_of(str(documents / "cats.md")))


def test_another_model_is_refused_and_the_same_elsewhere_is_not(tmp_path, index, model):
    with pytest.raises(ModelError, match=r"other is not the model that made .*index \(its weights\); expected .*tiny"):
        Index.open(index.folder, embedder=save_tiny(tmp_path / "other", seed=1), name="other")
    half = Embedder.load(model, dims=8)
    with pytest.raises(ModelError, match=r"\(its dims 32 and 8\).*; search with that one, or change it "):
        Index.open(index.folder, embedder=half)
    assert Index.open(index.folder, embedder=save_tiny(tmp_path / "copy")).search("cats").hits
    assert Index.open(index.folder).search("cats").hits  # finds it by its name


def test_what_is_no_index(tmp_path, embedder):
    with pytest.raises(InputError, match="is not an index; expected a folder that `slimvec index` made"):
        Index.open(tmp_path)
    (tmp_path / "index.json").write_text('{"format": 9}', encoding="utf-8")
    with pytest.raises(InputError, match="expected an index of version 1"):
        Index.open(tmp_path)
    with pytest.raises(InputError, match="exists; expected a new folder"):
        Index.create(tmp_path, embedder, model="m")
    with pytest.raises(InputError, match="chunks of 9999 tokens; expected at most"):
        Index.create(tmp_path / "x", embedder, model="m", chunk_tokens=9999)


def test_an_index_can_lie_in_any_folder_that_its_store_can_name(tmp_path, embedder, documents, model):
    index = make_index(tmp_path / "a b%20c#d\u00e9?", embedder, documents, model=model)
    assert contents(Index.open(index.folder, embedder=embedder)) == contents(index)
    with pytest.raises(InputError, match=r"an index at '.*\\x1b\[31mred'; expected a path without control characters"):
        Index.create(tmp_path / "\x1b[31mred", embedder, model="m")
    assert not (tmp_path / "\x1b[31mred").exists()


def test_sources_that_are_gone_are_an_error_and_not_an_empty_index(index, documents):
    before = contents(index)
    documents.rename(documents.with_name("moved"))
    with pytest.raises(
        InputError, match=r"docs does not exist; .*take it out with `slimvec index --to .*--forget .*docs`"
    ):
        index.update()
    assert contents(index) == before


def test_one_writes_at_a_time(index):
    def other():
        try:
            index.update()
        except InputError as error:
            errors.append(str(error))

    errors = []
    with index.writing():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert errors[0].startswith(f"another process writes {index.folder}: process ")


def test_progress_is_told_before_the_first_block_is_done(tmp_path, embedder):
    (tmp_path / "docs").mkdir()
    for number in range(12):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"Text {number}.", encoding="utf-8")
    index, told = Index.create(tmp_path / "index", embedder, model="tiny"), []
    plan = index.plan([tmp_path / "docs"])
    index.update([tmp_path / "docs"], plan=plan, on_progress=told.append)
    assert sum(told) == pytest.approx(plan.num_bytes)
    steps = [amount for amount in told if amount]
    assert steps[0] < 0.7 * plan.num_bytes
    assert index.num_chunks == 12


def test_late_chunks_know_their_document(tmp_path, embedder, documents):
    index = make_index(tmp_path / "late", embedder, documents, late=True)
    path = str(documents / "cats.md")
    spans = [(row["start"], row["end"]) for row in index.chunks_of(path)]
    expected = embedder.embed_chunks(CATS, chunks=spans, policy="window-mean", overlap_tokens=128).vectors
    for row, vector in zip(index.chunks_of(path), expected, strict=True):
        where = f"path = '{path}' AND number = {row['number']}"
        assert index.columns.search(index.table, vector, top=1, where=where).scores == pytest.approx([1], abs=1e-5)


def test_a_run_that_breaks_off_within_a_file_is_gone_on_with(tmp_path, embedder, model, monkeypatch):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(20)), encoding="utf-8")
    monkeypatch.setattr(blocks, "BLOCK_CHUNKS", 3)
    index = Index.create(tmp_path / "index", embedder, model=str(model), chunk_tokens=60)
    written, write = [], blocks.ChunkTable.write

    def failing(table, rows, **kwargs):
        if len(written) == 4:
            raise KeyboardInterrupt
        write(table, rows, **kwargs)
        written.append(len(rows))

    monkeypatch.setattr(blocks.ChunkTable, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        index.update([folder])
    monkeypatch.setattr(blocks.ChunkTable, "write", write)
    again = Index.open(index.folder, embedder=embedder)
    assert len(contents(again)) == 12
    assert again.update().num_written == 8
    assert contents(again) == contents(make_index(tmp_path / "fresh", embedder, folder, model=model))


def test_reindexing_switches_at_once(tmp_path, index, documents):
    reader = Index.open(index.folder)
    before = reader.search("cats", top=3)
    other = save_tiny(tmp_path / "other", seed=1)
    settings = index.description.settings.model_copy(update={"vectors": "int8", "chunk_tokens": 40})

    def stopped(following):
        following.update()
        assert Index.open(index.folder).search("cats", top=3).hits == before.hits  # the old one answers
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(index.folder, other, settings, model=str(tmp_path / "other"), update=stopped)
    assert Index.open(index.folder).search("cats", top=3).hits == before.hits
    report = migrate(index.folder, other, settings, model=str(tmp_path / "other"))
    assert report.num_written == 0  # what was stopped had been written
    new = Index.open(index.folder)
    assert new.description.settings == settings
    assert len(list(index.folder.glob("data-*"))) == 1
    expected = make_index(
        tmp_path / "fresh", other, documents, model=tmp_path / "other", vectors="int8", chunk_tokens=40
    )
    assert contents(new) == contents(expected)
    for _ in range(2):
        with pytest.raises(ModelError, match="the model given is not the model that made"):
            index.search("cats")  # holds the old model
    assert len(index.search("cats", top=3, ranking="text").hits) == 3  # which words do not need
    assert list(index.chunks_of(str(documents / "cats.md")))
    assert len(reader.search("cats", top=3).hits) == 3  # loads the new one


def test_what_nothing_refers_to_is_removed(index):
    (index.folder / "data-000000000000").mkdir()
    index.update()
    assert [path.name for path in index.folder.glob("data-*")] == [index.description.data]


INDEXING = """
import sys
from slimvec.engine.embedder import Embedder
from slimvec.search import blocks
from slimvec.search.index import Index
blocks.BLOCK_CHUNKS = 2
folder, model, source = sys.argv[1:]
index = Index.open(folder, embedder=Embedder.load(model))
print("ready", flush=True)
def tell(weight):
    print(index.table.count(None), flush=True)
    sys.stdin.readline()  # goes on when it has been read
index.update([source], on_progress=tell)
print("done", flush=True)
"""


def test_killing_loses_nothing_that_was_written(tmp_path, embedder, model):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"text {number}\n\n" + "more words. " * (number % 7), encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder, model=str(model), chunk_tokens=60)
    command = [sys.executable, "-c", INDEXING, str(index.folder), str(model), str(folder)]
    acknowledged = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            acknowledged = int(line) if line.strip().isdigit() else acknowledged
            if acknowledged >= 4:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
            print(file=process.stdin, flush=True)
    assert process.returncode == -signal.SIGKILL
    assert Index.open(index.folder, embedder=embedder).num_chunks >= acknowledged >= 4
    again = Index.open(index.folder, embedder=embedder)
    again.update()
    assert contents(again) == contents(make_index(tmp_path / "fresh", embedder, folder, model=model))


def test_vectors_held_as_an_older_version_did_are_refused(tmp_path, embedder, documents, model):
    index = make_index(tmp_path / "index", embedder, documents, model=model, vectors="binary")
    index.table._table.drop_columns(["magnitudes"])
    with pytest.raises(InputError, match=r"index holds binary vectors as an older version did; .*into a new folder"):
        Index.open(index.folder).refresh()
