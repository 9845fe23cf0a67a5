import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.mining import run, scoring
from slimvec.data.mining.run import mine_negatives
from slimvec.data.mining.settings import MiningSettings
from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError, ModelError
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Prompts
from tests.data.mining.support import (
    DIMS,
    TEXT,
    WordEmbedder,
    corpus_of,
    forbidden_ids,
    inputs,
    known,
    record_lists,
    word_scores,
)

TOP = MiningSettings(num_negatives=3, first_rank=1, last_rank=4, choice="top", relative_margin=None)


@pytest.fixture
def small_blocks(monkeypatch):
    """So that a few texts make several blocks."""
    monkeypatch.setattr(scoring, "TEXTS_AT_ONCE", 2)
    monkeypatch.setattr(run, "QUERIES_AT_ONCE", 2)
    monkeypatch.setattr(run, "_RECORDS_AT_ONCE", 3)


def reference(records, corpus, settings):
    """Negatives and scores of every record, by sorting all texts of the corpus."""
    texts = corpus_of(records, corpus)
    for record in records:
        allowed = [text for text in texts if text_id(text) not in forbidden_ids(records, record.query)]
        scores = word_scores(record.query, allowed)
        order = sorted(range(len(allowed)), key=lambda number, s=scores: (-s[number], number))
        within = order[settings.first_rank - 1 : settings.last_rank]
        positives = word_scores(record.query, [corpus_of(records, [p])[0] for p in record.positives])
        bound = min(positives) - (1 - (settings.relative_margin or 1)) * abs(min(positives))
        below = [n for n in within if settings.relative_margin is None or scores[n] < bound][: settings.num_negatives]
        expected = [*positives, *(scores[number] for number in below)]
        yield [allowed[number] for number in below], [round(score, 6) for score in expected]


@pytest.mark.usefixtures("small_blocks")
@given(record_lists(), st.none() | st.lists(TEXT, min_size=1, max_size=9), st.sampled_from([None, 0.95, 0.5]))
def test_mined_records_equal_the_slow_reference(tmp_path_factory, records, corpus, share):
    folder = tmp_path_factory.mktemp("mine")
    settings = TOP.model_copy(update={"relative_margin": share})
    report = mine_negatives(inputs(records, folder / "work", corpus=corpus), folder / "o.jsonl", settings)
    mined = list(read_records(folder / "o.jsonl"))
    for record, found, (negatives, scores) in zip(records, mined, reference(records, corpus, settings), strict=True):
        assert replace(found, negatives=(), scores=()) == replace(record, negatives=(), scores=())
        assert list(found.negatives) == negatives
        np.testing.assert_allclose(found.scores, scores, atol=2e-6)
    assert report.num_negatives == sum(len(record.negatives) for record in mined)
    assert sum(report.records_by_negatives.values()) == report.num_records == len(records)
    assert report.num_short == sum(len(record.negatives) < 3 for record in mined)
    assert sum(report.ranks.counts) == sum(report.negative_scores.counts) == report.num_negatives
    assert sum(report.positive_scores.counts) == sum(len(record.positives) for record in records)
    assert not (folder / "work").exists()


@pytest.mark.usefixtures("small_blocks")
@given(record_lists(), st.sampled_from(["words", None]), st.integers(0, 3), st.none() | st.just(0.5))
def test_nothing_known_is_ever_taken(tmp_path_factory, records, embedder, seed, near):
    folder = tmp_path_factory.mktemp("mine")
    settings = MiningSettings(first_rank=1, last_rank=9, relative_margin=None, seed=seed, near_duplicates=near)
    mine_negatives(inputs(records, folder / "work", embedder=embedder), folder / "o.jsonl", settings)
    for record in read_records(folder / "o.jsonl"):
        ids = [text_id(text) for text in record.negatives]
        assert not set(ids) & forbidden_ids(records, record.query)
        assert len(set(ids)) == len(ids)


class Killed(BaseException):
    """As kill -9: nothing may catch it and tidy up."""


class DyingEmbedder(WordEmbedder):
    def __init__(self, calls_left):
        super().__init__()
        self.calls_left = calls_left

    def embed(self, texts, **settings):
        self.calls_left -= 1
        if self.calls_left < 0:
            raise Killed
        return super().embed(texts, **settings)


RECORDS = [Record(f"sun {n}", (f"star {n}", f"sea {n} long")[: 1 + n % 2], task="find it") for n in range(9)]


def test_a_run_killed_while_it_reads_can_be_run_again(tmp_path):
    def dying():
        yield from RECORDS[:5]
        raise Killed

    with pytest.raises(Killed):
        mine_negatives(replace(inputs(RECORDS, tmp_path / "w"), records=dying), tmp_path / "o.jsonl", TOP)
    again = mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "o.jsonl", TOP)
    assert (again.num_records, again.resumed) == (9, False)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("calls", range(0, 12, 3))
def test_a_resumed_run_equals_one_that_was_not_interrupted(calls, tmp_path, monkeypatch):
    whole = mine_negatives(inputs(RECORDS, tmp_path / "a"), tmp_path / "whole.jsonl.gz", TOP)
    dying = DyingEmbedder(calls)
    with pytest.raises(Killed):
        mine_negatives(inputs(RECORDS, tmp_path / "b", embedder=known(dying)), tmp_path / "o.jsonl.gz", TOP)
    assert not (tmp_path / "o.jsonl.gz").exists()
    real, left = run.find_best, iter(range(2))

    def find_best(*arguments):
        if next(left, None) is None:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(run, "find_best", find_best)
    second = WordEmbedder()
    with pytest.raises(Killed):
        mine_negatives(inputs(RECORDS, tmp_path / "b", embedder=known(second)), tmp_path / "o.jsonl.gz", TOP)
    monkeypatch.setattr(run, "find_best", real)
    third = WordEmbedder()
    resumed = mine_negatives(inputs(RECORDS, tmp_path / "b", embedder=known(third)), tmp_path / "o.jsonl.gz", TOP)
    assert len(dying.calls) + len(second.calls) == 12
    assert third.calls == []
    assert (tmp_path / "o.jsonl.gz").read_bytes() == (tmp_path / "whole.jsonl.gz").read_bytes()
    assert resumed == whole.model_copy(update={"resumed": True})
    assert whole.num_truncated == {"queries": 0, "documents": 4}


def test_other_data_or_another_model_is_refused_on_resume(tmp_path):
    work = tmp_path / "work"
    mine_negatives(inputs(RECORDS, work, keep_work=True), tmp_path / "a.jsonl", TOP)
    other = [*RECORDS[:-1], Record("new", ("star",))]
    with pytest.raises(InputError, match=r"work folder .*work belongs to a run with another texts; expected the same"):
        mine_negatives(inputs(other, work), tmp_path / "b.jsonl", TOP)
    with pytest.raises(InputError, match=r"a run with another model; .*pass --restart to throw it away, or name ano"):
        mine_negatives(inputs(RECORDS, work, embedder=known(identity="b")), tmp_path / "b.jsonl", TOP)
    with pytest.raises(InputError, match="a run with another model"):
        mine_negatives(inputs(RECORDS, work, embedder=known(task="other")), tmp_path / "b.jsonl", TOP)
    fresh = WordEmbedder()
    mine_negatives(inputs(other, work, embedder=known(fresh), restart=True), tmp_path / "b.jsonl", TOP)
    assert fresh.calls
    assert not work.exists()
    work.mkdir()
    (work / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"work folder .* holds something else"):
        mine_negatives(inputs(RECORDS, work, restart=True), tmp_path / "c.jsonl", TOP)
    assert (work / "thesis.txt").exists()


def test_other_settings_use_the_same_vectors(tmp_path):
    work = tmp_path / "work"
    mine_negatives(inputs(RECORDS, work, keep_work=True), tmp_path / "a.jsonl", TOP)
    unused = WordEmbedder()
    more = MiningSettings(num_negatives=2, first_rank=2, last_rank=6, seed=3)
    again = mine_negatives(inputs(RECORDS, work, embedder=known(unused)), tmp_path / "b.jsonl", more)
    fresh = mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "c.jsonl", more)
    assert unused.calls == []
    assert again.output_sha256 == fresh.output_sha256


def test_queries_are_embedded_with_their_task_and_documents_with_the_default(tmp_path):
    records = [Record("sun", ("star",), task="find it"), Record("sun", ("sea",)), Record("moon", ("sky",))]
    seen = WordEmbedder()
    mine_negatives(inputs(records, tmp_path / "w", embedder=known(seen, task="general")), tmp_path / "o.jsonl", TOP)
    assert sorted(seen.calls) == [
        (("star", "sea", "sky"), "document", "general"),
        (("sun",), "query", "find it"),
        (("sun", "moon"), "query", "general"),
    ]


def test_two_processes_do_not_share_a_work_folder(tmp_path):
    def second():
        with pytest.raises(InputError, match=r"another process works in .*; expected one at a time; wait, or name ano"):
            mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "b.jsonl", TOP)
        yield from RECORDS

    first = replace(inputs(RECORDS, tmp_path / "w"), records=second)
    mine_negatives(first, tmp_path / "a.jsonl", TOP)


def test_vectors_that_cannot_be_used_and_data_that_changes(tmp_path):
    class Broken(WordEmbedder):
        def __init__(self, shape, value):
            self.shape, self.value = shape, value

        def embed(self, texts, **_):
            return Embeddings.uncounted(np.full((len(texts), self.shape), self.value, dtype=np.float32))

    cases = [
        ((DIMS, np.nan), "the vector of 'sun 0' is not finite"),
        ((2, 0), r"vectors of shape \(9, 2\); expected 9"),
    ]
    for settings, message in cases:
        broken = known(Broken(*settings))
        with pytest.raises(ModelError, match=message):
            mine_negatives(inputs(RECORDS, tmp_path / "w", embedder=broken), tmp_path / "o.jsonl", TOP)
    for other in (RECORDS[:-1], [*RECORDS, RECORDS[0]], [Record("x", ("star",)), *RECORDS[1:]]):
        versions = iter([RECORDS, other])
        changing = replace(inputs(RECORDS, tmp_path / "w"), records=lambda v=versions: iter(next(v)))
        with pytest.raises(InputError, match="the data changed while it was read"):
            mine_negatives(changing, tmp_path / "o.jsonl", TOP)
    assert not (tmp_path / "o.jsonl").exists()


def test_ranks_beyond_the_corpus_and_outputs_that_cannot_be(tmp_path):
    few = MiningSettings(first_rank=50, last_rank=100)
    with pytest.raises(InputError, match="ranks from 50 in a corpus of 13 texts; expected ranks that it has"):
        mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "o.jsonl", few)
    with pytest.raises(InputError, match=r"o.parquet is of an unknown kind; expected a name ending in .jsonl or .jso"):
        mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "o.parquet")
    (tmp_path / "o.jsonl").touch()
    with pytest.raises(InputError, match=r"o.jsonl exists; expected a new path; pass --force to replace it"):
        mine_negatives(inputs(RECORDS, tmp_path / "w"), tmp_path / "o.jsonl")


def test_the_report_is_written_whole(tmp_path):
    report = mine_negatives(inputs(RECORDS, tmp_path / "w", embedder=None), tmp_path / "o.jsonl", TOP)
    report.write(tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["scorer"] == {"name": "BM25", "k1": 1.5, "b": 0.75}
    assert type(report).model_validate(written) == report


_DYING_PROCESS = """
import os, signal, sys
from pathlib import Path
from slimvec.data.mining import scoring
from slimvec.data.mining.run import mine_negatives
from tests.data.mining.support import WordEmbedder, inputs, known
from tests.data.mining.test_run import RECORDS, TOP

class Dying(WordEmbedder):
    def embed(self, texts, **settings):
        if len(self.calls) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(texts, **settings)

scoring.TEXTS_AT_ONCE = 2
folder = Path(sys.argv[1])
mine_negatives(inputs(RECORDS, folder / "w", embedder=known(Dying())), folder / "o.jsonl", TOP)
"""


@pytest.mark.usefixtures("small_blocks")
def test_a_process_that_is_killed_loses_one_block_at_most(tmp_path):
    command = [sys.executable, "-c", _DYING_PROCESS, str(tmp_path), "7"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w"]
    second = WordEmbedder()
    mine_negatives(inputs(RECORDS, tmp_path / "w", embedder=known(second)), tmp_path / "o.jsonl", TOP)
    assert len(second.calls) == 12 - 7
    mine_negatives(inputs(RECORDS, tmp_path / "fresh"), tmp_path / "whole.jsonl", TOP)
    assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_instructions_of_records_are_left_out_for_a_model_without_a_place_for_them(tmp_path):
    seen = WordEmbedder()
    asked = replace(known(seen), prompts=Prompts(named={"a named prompt": "named: "}))
    records = [Record("sun", ("star",), task="find the star"), Record("moon", ("sky",), task="a named prompt")]
    mine_negatives(inputs(records, tmp_path / "w", embedder=asked), tmp_path / "o.jsonl", TOP)
    assert {(texts, task) for texts, role, task in seen.calls if role == "query"} == {
        (("sun",), None),
        (("moon",), "a named prompt"),
    }
    assert [record.task for record in read_records(tmp_path / "o.jsonl")] == ["find the star", "a named prompt"]
