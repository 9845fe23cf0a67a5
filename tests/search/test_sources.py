"""What belongs to an index: files that are found, gone or cannot be seen, and what changes under its reader."""

import os
import shutil

import pytest

from slimvec.errors import InputError
from slimvec.search import finding
from slimvec.search.filters import Filters
from slimvec.search.index import Index
from slimvec.search.migration import migrate
from slimvec.search.searching import search
from slimvec.search.store import IndexDataError
from tests.search.support import contents, make_index, save_tiny


@pytest.fixture
def index(tmp_path, embedder, model, documents):
    return make_index(tmp_path / "index", embedder, documents, model=model)


def names(index):
    return sorted({path.rpartition("/")[2] for path, *_ in contents(index)})


def test_a_plan_from_before_another_update_is_made_anew(tmp_path, index, documents, embedder):
    late = Index.open(index.folder, embedder=embedder)
    (documents / "new.txt").write_text("Something new.", encoding="utf-8")
    plan = late.plan()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "zebra.txt").write_text("A zebra.", encoding="utf-8")
    index.update([tmp_path / "more"])
    expected = contents(index)
    report = late.update(plan=plan)
    assert (report.num_new, report.num_removed) == (0, 0)
    assert contents(late) == expected
    assert len(late.description.sources) == 2


def test_a_migration_that_is_gone_on_with_takes_the_sources_of_now(tmp_path, index):
    other = save_tiny(tmp_path / "other", seed=1)

    def stopped(following):
        following.update()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(index.folder, other, index.description.settings, model=str(tmp_path / "other"), update=stopped)
    (tmp_path / "zebra.txt").write_text("A zebra.", encoding="utf-8")
    index.update([tmp_path / "zebra.txt"])
    migrate(index.folder, other, index.description.settings, model=str(tmp_path / "other"))
    assert "zebra.txt" in names(Index.open(index.folder, embedder=other))


def test_a_search_in_the_middle_of_a_migration_is_answered_by_the_new_data(index, embedder, monkeypatch):
    take, changes = index.table.__class__.take, []

    def taken(table, *arguments, **named):
        if not changes:
            changes.append(migrate(index.folder, embedder, index.description.settings, model=index.description.model))
        return take(table, *arguments, **named)

    before = index.search("cats", top=3)
    monkeypatch.setattr(index.table.__class__, "take", taken)
    assert [hit.text for hit in search(index, "cats", top=3).hits] == [hit.text for hit in before.hits]
    assert changes


def test_data_that_are_missing_or_damaged_are_an_error_with_a_way_out(index, embedder):
    before, data = contents(index), index.folder / index.description.data
    for path in data.rglob("*.lance"):
        if path.is_file():
            path.unlink()
    for damaged in (index, Index.open(index.folder, embedder=embedder)):
        with pytest.raises(
            IndexDataError, match=r"^the data of .*index cannot be read: .*; build them anew with `slim"
        ):
            damaged.search("cats")
    with pytest.raises(IndexDataError, match="cannot be read"):
        index.update()
    migrate(index.folder, embedder, index.description.settings, model=index.description.model)
    assert contents(index) == before
    shutil.rmtree(index.folder / index.description.data)
    with pytest.raises(
        IndexDataError, match=r"has lost its data: data-.* is missing or empty; run `slimvec index --to "
    ):
        Index.open(index.folder, embedder=embedder).search("cats")
    Index.open(index.folder, embedder=embedder).update()
    assert contents(index) == before
    shutil.rmtree(index.folder)
    with pytest.raises(IndexDataError, match="index is no index any more"):
        index.search("cats")


def test_a_source_that_is_gone_can_be_forgotten(tmp_path, embedder, documents):
    alone = tmp_path / "alone.txt"
    alone.write_text("By itself.", encoding="utf-8")
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "a.txt").write_text("Far away.", encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder, model="tiny", chunk_tokens=60)
    index.update([documents, alone, tmp_path / "away"])
    alone.unlink()
    assert index.update().num_removed == 1  # a file is gone as any other; a folder may come back
    shutil.rmtree(tmp_path / "away")
    with pytest.raises(InputError, match=r"away does not exist; .*--forget .*away`"):
        index.update()
    with pytest.raises(InputError, match=r"b is no source of .*index; expected one of .*away, .*docs"):
        index.update(forget=["/b"])
    assert index.update(forget=[tmp_path / "away"]).num_removed == 1
    assert names(index) == ["animals.jsonl", "cats.md", "files.py", "weather.txt"]
    with pytest.raises(InputError, match="has no sources"):
        index.plan(forget=[documents])


def test_what_a_folder_passes_over_can_be_named_beside_it(tmp_path, index, documents):
    for folder in ("build", ".hidden", "sub"):
        (documents / folder).mkdir()
        (documents / folder / f"in-{folder}.txt").write_text("Words here.", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.txt").write_text("Words there.", encoding="utf-8")
    (documents / "link").symlink_to(tmp_path / "elsewhere")
    (documents / "round").symlink_to(documents)
    index.update()
    assert len(names(index)) == 5
    index.update([documents / name for name in ("build", ".hidden", "sub", "link", "cats.md")])
    assert [source.rpartition("/")[2] for source in index.description.sources] == ["docs", ".hidden", "build", "link"]
    assert {"in-build.txt", "in-.hidden.txt", "linked.txt"} < set(names(index))


def test_one_folder_has_one_name_and_an_index_does_not_read_itself(embedder, documents, monkeypatch):
    (documents / "sub").mkdir()
    monkeypatch.chdir(documents / "sub")
    index = Index.create("../../docs/own", embedder, model="tiny", chunk_tokens=60)
    index.update([".."])
    index.update([documents])
    assert index.description.sources == (str(documents),)
    assert names(index) == ["animals.jsonl", "cats.md", "files.py", "weather.txt"]


def test_what_cannot_be_looked_at_is_named_and_stays(index, documents, monkeypatch):
    walk = os.walk
    (documents / "sub").mkdir()
    (documents / "sub" / "a.txt").write_text("Below.", encoding="utf-8")
    index.update()
    (documents / os.fsdecode(b"latin\xff.txt")).write_text("A name of bytes.", encoding="utf-8")

    def blind(folder, onerror):
        for place, folders, files in walk(folder):
            if place.endswith("sub"):
                onerror(PermissionError(13, "Permission denied", place))
            else:
                yield place, folders, files

    monkeypatch.setattr(finding.os, "walk", blind)
    report = index.update()
    assert report.num_removed == 0
    assert {fault.path.rpartition("/")[2]: fault.reason for fault in report.faults} == {
        "sub": "cannot be listed: Permission denied",
        "latin\\xff.txt": "its name is not UTF-8; rename it",
    }
    assert "a.txt" in names(index)


def test_files_without_text_are_counted_as_such(index, documents):
    (documents / "empty.txt").write_bytes(b"")
    (documents / "blank.md").write_text(" \n\n", encoding="utf-8")
    for _ in range(2):
        report = index.update()
        assert (report.num_new, report.num_empty, report.num_unchanged) == (0, 2, 4)


def test_an_index_of_nothing_is_searched_and_grows(tmp_path, embedder):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "empty.txt").write_bytes(b"")
    for kind in ("float32", "int8"):
        index = Index.create(tmp_path / kind, embedder, model="tiny", chunk_tokens=60, vectors=kind)
        assert index.update([tmp_path / "docs"]).num_chunks == 0
        assert index.search("cats").hits == ()
        (tmp_path / "docs" / "cats.txt").write_text("Cats purr.", encoding="utf-8")
        assert index.update().num_chunks == 1
        assert len(index.search("cats").hits) == 1
        (tmp_path / "docs" / "cats.txt").unlink()


def test_odd_names_are_found_by_their_filters(index, documents):
    (documents / "odd").mkdir()
    for name in ("a\nb.txt", "a\\b.txt", "q'q \u732b.txt"):
        (documents / "odd" / name).write_text("Odd words.", encoding="utf-8")
    index.update()

    def found(pattern):
        result = index.search("odd", ranking="text", filters=Filters(paths=(pattern,)))
        return sorted(hit.path.rpartition("/")[2] for hit in result.hits)

    assert found("odd") == ["a\nb.txt", "a\\b.txt", "q'q \u732b.txt"]
    assert found("**/a*.txt") == ["a\nb.txt", "a\\b.txt"]
    for name in ("a\nb.txt", "a\\b.txt", "q'q \u732b.txt"):
        assert found(name) == [name]
        assert len(list(index.chunks_of(str(documents / "odd" / name)))) == 1
