import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.consistency import run
from slimvec.data.consistency.run import filter_records, plant_wrong_pairs
from slimvec.data.mining.collection import collect
from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.text.embeddings import Embeddings
from tests.data.mining.support import TEXT, corpus_of, forbidden_ids, inputs, known, record_lists, word_scores


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(run, "QUERIES_AT_ONCE", 2)


def slow_ranks(records, corpus=None):
    """Rank of every positive of every record, from the definition."""
    texts = corpus_of(records, corpus)
    for record in records:
        others = [text for text in texts if text_id(text) not in forbidden_ids(records, record.query)]
        scores = word_scores(record.query, others)
        own = word_scores(record.query, record.positives)
        yield [1 + sum(score >= positive for score in scores) for positive in own]


@pytest.mark.usefixtures("small_blocks")
@given(record_lists(), st.none() | st.lists(TEXT, min_size=1, max_size=9), st.integers(1, 6), st.booleans())
def test_the_filter_equals_the_slow_reference(tmp_path_factory, records, corpus, k, scored):
    if scored:
        numbers = itertools.count()
        records = [
            replace(r, scores=tuple(float(next(numbers)) for _ in (*r.positives, *r.negatives))) for r in records
        ]
    folder = tmp_path_factory.mktemp("filter")
    report = filter_records(
        inputs(records, folder / "work", corpus=corpus), folder / "o.jsonl", k=k, dropped=folder / "d.jsonl"
    )
    kept, dropped = [], []
    ranks = list(slow_ranks(records, corpus))
    for record, own in zip(records, ranks, strict=True):
        good = [number for number, rank in enumerate(own) if rank <= k]
        positives = tuple(record.positives[number] for number in good)
        scores = [score for number, score in enumerate(record.scores) if number in good or number >= len(own)]
        if good:
            kept.append(replace(record, positives=positives, scores=tuple(scores)))
        else:
            dropped.append(record)
    for name, expected in (("o", kept), ("d", dropped)):
        assert (list(read_records(folder / f"{name}.jsonl")) if expected else []) == expected
        assert expected or (folder / f"{name}.jsonl").read_bytes() == b""
    assert (report.num_kept, report.num_dropped) == (len(kept), len(dropped))
    assert report.num_positives == sum(map(len, ranks))
    assert report.num_positives_removed == sum(rank > k for own in ranks if min(own) <= k for rank in own)
    assert [line.k for line in report.at] == sorted({1, 5, 10, 20, 50, 100, k})
    for line in report.at:
        lost = [min(own) > line.k for own in ranks]
        assert line.dropped.count == sum(lost)
        for groups, labels in (
            (report.by_source, [record.source for record in records]),
            (report.by_language, [record.language or "" for record in records]),
        ):
            assert {name: group.num_records for name, group in groups.items()} == Counter(labels)
            by_label = Counter(label for label, gone in zip(labels, lost, strict=True) if gone)
            assert {name: group.dropped[line.k] for name, group in groups.items()} == {
                name: by_label[name] for name in groups
            }


def test_k_is_k_and_the_positives_of_a_query_do_not_push_each_other_out(tmp_path):
    corpus = ["sun sun sun moon", "sun", "sun moon", "sea"]
    records = [Record("sun", ("sun moon", "sea")), Record("SUN ", ("sun sun sun moon",))]
    report = filter_records(inputs(records, tmp_path / "w", corpus=corpus), tmp_path / "o.jsonl", k=1)
    assert [record.positives for record in read_records(tmp_path / "o.jsonl")] == [
        ("sun moon", "sea"),
        ("sun sun sun moon",),
    ]
    assert report.num_positives_removed == 0
    more = [*corpus, "sun moon moon"]
    report = filter_records(inputs(records, tmp_path / "w", corpus=more), tmp_path / "p.jsonl", k=1)
    assert [record.positives for record in read_records(tmp_path / "p.jsonl")] == [("sun moon",), ("sun sun sun moon",)]
    assert (report.num_kept, report.num_positives_removed) == (2, 1)


def test_a_tie_counts_against_the_positive(tmp_path):
    records = [Record("sun", ("moon star",)), Record("sea", ("star moon",)), Record("sky", ("moon  moon star star",))]
    for k, kept in ((1, 0), (2, 0), (3, 3)):
        report = filter_records(inputs(records, tmp_path / "w"), tmp_path / f"{k}.jsonl", k=k)
        assert report.num_kept == kept


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    records = [Record(f"sun {n}", (f"star {n}", f"sea {n}")) for n in range(7)]
    monkeypatch.setattr(run, "QUERIES_AT_ONCE", 2)
    whole = filter_records(inputs(records, tmp_path / "a"), tmp_path / "a.jsonl", k=1, plant_share=0.5)
    real, calls = run.find_ranks, []

    def find_ranks(*arguments):
        calls.append(arguments[1])
        if len(calls) in (3, 7):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(run, "find_ranks", find_ranks)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            filter_records(inputs(records, tmp_path / "b"), tmp_path / "b.jsonl", k=1, plant_share=0.5)
    report = filter_records(inputs(records, tmp_path / "b"), tmp_path / "b.jsonl", k=1, plant_share=0.5)
    assert calls == [0, 2, 4, 4, 6, 0, 2, 2, 4, 6]
    assert report == whole.model_copy(update={"resumed": True})
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@given(record_lists(min_size=2, max_size=12), st.floats(0.01, 0.99), st.integers(0, 5))
def test_planted_pairs_are_wrong_and_the_others_untouched(tmp_path_factory, records, share, seed):
    collection = collect(records, tmp_path_factory.mktemp("texts"))
    altered, planted = plant_wrong_pairs(collection, share=share, seed=seed)
    assert planted.sum() <= max(1, round(share * len(records)))
    for number, record in enumerate(records):
        texts = collection.documents.read(altered.positives[number].tolist())
        if planted[number]:
            assert not {text_id(text) for text in texts} & forbidden_ids(records, record.query)
        else:
            assert altered.positives[number].tolist() == collection.positives[number].tolist()
    again, same = plant_wrong_pairs(collection, share=share, seed=seed)
    assert (same == planted).all()
    assert (again.positives.values == altered.positives.values).all()


def test_the_self_test_catches_what_can_be_caught_and_changes_nothing_else(tmp_path):
    words = [f"word{number}" for number in range(200)]
    records = [Record(word, (f"{word} {word}",), source="s") for word in words]
    settings = {"embedder": None}
    plain = filter_records(inputs(records, tmp_path / "w", **settings), tmp_path / "a.jsonl", k=5)
    report = filter_records(
        inputs(records, tmp_path / "w", **settings), tmp_path / "b.jsonl", k=5, plant_share=0.2, plant_seed=1
    )
    test = report.self_test
    assert (test.num_planted, test.num_good, test.share, test.seed) == (40, 160, 0.2, 1)
    for line in test.at:
        assert (line.caught.count, line.caught.total) == (40, 40)
        assert (line.lost.count, line.lost.total) == (0, 160)
        assert line.caught.low > 0.9
        assert line.lost.high < 0.1
    assert plain == report.model_copy(update={"self_test": None})
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_the_self_test_finds_out_a_search_that_knows_nothing(tmp_path):
    """Every document scores the same, so every pair is dropped, good or wrong."""

    class Blind:
        def embed(self, texts, **_):
            vectors = np.zeros((len(texts), 5), dtype=np.float32)
            vectors[:, 0] = 1
            return Embeddings.uncounted(vectors)

    records = [Record(f"q{number}", (f"p{number}",)) for number in range(30)]
    report = filter_records(
        inputs(records, tmp_path / "w", embedder=known(Blind())), tmp_path / "o.jsonl", k=5, plant_share=0.5
    )
    assert report.num_kept == 0
    assert {line.k: line.lost.share for line in report.self_test.at} == {1: 1, 5: 1, 10: 1, 20: 1, 50: 0, 100: 0}
    assert {line.k: line.caught.share for line in report.self_test.at} == {1: 1, 5: 1, 10: 1, 20: 1, 50: 0, 100: 0}


@pytest.mark.parametrize("settings", [{"k": 0}, {"plant_share": 0.0}, {"plant_share": 1.0}])
def test_settings_that_make_no_sense(settings, tmp_path):
    with pytest.raises(InputError, match="expected k of at least 1, and a share between 0 and 1"):
        filter_records(inputs([Record("q", ("p",))], tmp_path / "w"), tmp_path / "o.jsonl", **settings)
