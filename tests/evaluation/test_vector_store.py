import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slimvec.errors import StorageError
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.vector_store import MAX_MODELS, VectorStore
from slimvec.text.embeddings import Embeddings

PROMPT = {"role": "query", "task": "p: "}


class Counting:
    """A vector of the text's length and the prompt's; texts asked for are written down."""

    card = ModelCard(name="c", kind="slimvec", identity="c")

    def __init__(self):
        self.asked = []

    def render(self, _, task):
        return task

    def embed(self, texts, *, role, task, on_progress=None):  # noqa: ARG002  as the protocol has it
        self.asked.append(list(texts))
        if on_progress is not None:
            on_progress(len(texts))
        return embedded(texts, task)


def embedded(texts, prompt="p: "):
    lengths = np.array([len(text) for text in texts], dtype=np.int32)
    vectors = np.stack([lengths, np.full(len(texts), len(prompt))], axis=1).astype(np.float32)
    return Embeddings(vectors, lengths, (lengths > 3).astype(np.int8))


def test_a_store_that_cannot_be_made_says_how_to_do_without(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"\.sqlite: .*; point SLIMVEC_CACHE elsewhere, or pass --no-cache"):
        CachedModel(Counting(), VectorStore("m", tmp_path / "file" / "vectors")).embed(["a"], **PROMPT)


def test_texts_are_computed_once_and_counted_always(tmp_path):
    model, store, told = Counting(), VectorStore("m", tmp_path), []
    found = CachedModel(model, store).embed(["a", "bb", "a"], **PROMPT, on_progress=told.append)
    np.testing.assert_array_equal(found.vectors, [[1, 3], [2, 3], [1, 3]])
    cached = CachedModel(model, VectorStore("m", tmp_path))
    again = cached.embed(["bb", "cccc", "a"], **PROMPT, on_progress=told.append)
    np.testing.assert_array_equal(again.vectors, [[2, 3], [4, 3], [1, 3]])
    assert (again.tokens.tolist(), again.truncated.tolist()) == ([2, 4, 1], [0, 1, 0])
    assert model.asked == [["a", "bb"], ["cccc"]]
    assert sum(told) == 6
    assert (cached.work.num_texts, cached.work.num_tokens, cached.work.num_truncated) == (3, 7, 1)


def test_prompt_role_and_model_are_part_of_the_key(tmp_path):
    model, store = Counting(), VectorStore("m", tmp_path)
    for role, prompt in (("query", "p: "), ("document", "p: "), ("query", "p")):
        CachedModel(model, store).embed(["a"], role=role, task=prompt)
    CachedModel(model, store).embed([" :a"], role="query", task="p")
    CachedModel(model, VectorStore("n", tmp_path)).embed(["a"], **PROMPT)
    assert len(model.asked) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.sqlite", "n.sqlite"]


def test_without_a_store_nothing_is_kept():
    model = Counting()
    for _ in range(2):
        assert len(CachedModel(model, None).embed(["a", "a"], **PROMPT).vectors) == 2
    assert model.asked == [["a"], ["a"]]


@pytest.mark.parametrize("damage", ["vector = zeroblob(8)", "num_tokens = 7", "truncated = 1"])
def test_a_row_that_was_changed_is_computed_anew(damage, tmp_path):
    store, model = VectorStore("m", tmp_path), Counting()
    store.write("query\0p: ", ["a", "bb"], embedded(["a", "bb"]))
    with sqlite3.connect(store.path) as database:
        database.execute(f"UPDATE vectors SET {damage} WHERE num_tokens = 1")
    database.close()
    found = CachedModel(model, store).embed(["a", "bb"], **PROMPT)
    assert model.asked == [["a"]]
    np.testing.assert_array_equal(found.vectors, [[1, 3], [2, 3]])
    assert CachedModel(model, store).embed(["a"], **PROMPT).tokens.tolist() == [1]
    assert len(model.asked) == 1


def test_a_write_that_fails_leaves_nothing(tmp_path):
    store = VectorStore("m", tmp_path)
    store.write("p", ["a"], embedded(["a"]))
    broken = Embeddings(np.ones((2, 2), dtype=np.float32), np.ones(1, dtype=np.int32), np.ones(2, dtype=np.int8))
    with pytest.raises(ValueError, match="zip"):
        store.write("p", ["b", "c"], broken)
    assert set(store.read("p", ["a", "b", "c"])) == {"a"}


def test_the_files_written_to_longest_ago_make_room(tmp_path):
    for number in range(MAX_MODELS + 2):
        store = VectorStore(f"m{number}", tmp_path)
        store.write("p", ["a"], embedded(["a"]))
        os.utime(store.path, ns=(number, number))
    assert {path.stem for path in tmp_path.iterdir()} == {f"m{number}" for number in range(2, MAX_MODELS + 2)}


def test_a_file_that_is_no_database_is_told(tmp_path):
    store = VectorStore("m", tmp_path)
    store.path.write_bytes(b"torn" * 1000)
    with pytest.raises(StorageError, match=r"cannot use the vectors in .*m.sqlite: .*; delete the file"):
        store.read("p", ["a"])


def write_many(folder, start):
    for number in range(start, start + 10):
        texts = [f"{number} {i}" for i in range(5)]
        VectorStore("m", folder).write("p", texts, embedded(texts))


def test_two_writers_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(2) as pool:  # each with connections of its own, which lock the file as processes do
        for done in [pool.submit(write_many, tmp_path, start) for start in (0, 5)]:
            done.result()
    texts = [f"{number} {i}" for number in range(15) for i in range(5)]
    assert len(VectorStore("m", tmp_path).read("p", texts)) == 75
