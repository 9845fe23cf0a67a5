import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.mining.collection import collect
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from tests.data.mining.support import TEXT, corpus_of, forbidden_ids, record_lists


@given(record_lists(), st.none() | st.lists(TEXT, min_size=1, max_size=6))
def test_texts_are_numbered_once_and_known_ones_are_found(tmp_path_factory, records, corpus):
    folder = tmp_path_factory.mktemp("texts")
    told = []
    collection = collect(iter(records), folder, corpus=corpus, advance=told.append)
    assert sum(told) == len(records)
    candidates = collection.documents.read(range(collection.num_candidates))
    assert candidates == corpus_of(records, corpus)
    everything = collection.documents.read(range(len(collection.documents)))
    assert len({text_id(text) for text in everything}) == len(everything)
    num_texts = len(corpus or ()) + sum(
        len(record.positives) + (0 if corpus else len(record.negatives)) for record in records
    )
    assert collection.num_duplicates == num_texts - len(everything)
    queries = collection.queries.read(range(len(collection.queries)))
    known = collection.known()
    for number, record in enumerate(records):
        query = int(collection.query_of[number])
        assert (text_id(queries[query]), collection.tasks[query]) == (text_id(record.query), record.task)
        own = [text_id(everything[document]) for document in collection.positives[number]]
        assert own == [text_id(text) for text in record.positives]
        expected = forbidden_ids(records, record.query) & {text_id(text) for text in candidates}
        assert {text_id(candidates[document]) for document in known[query]} == expected
    assert len({(text_id(record.query), record.task) for record in records}) == len(queries)


def test_the_hash_tells_records_and_corpora_apart(tmp_path):
    one, two = Record("q", ("p",)), Record("r", ("p",))
    hashes = {
        collect(records, tmp_path, corpus=corpus).sha256
        for records in ([one], [two], [one, two], [two, one])
        for corpus in (None, ["c"], ["p"])
    }
    assert len(hashes) == 12
    assert collect([one], tmp_path).sha256 in hashes


def test_nothing_to_collect(tmp_path):
    with pytest.raises(InputError, match="there are no records; expected at least one"):
        collect([], tmp_path)
    with pytest.raises(InputError, match="the corpus has no texts; expected at least one"):
        collect([Record("q", ("p",))], tmp_path, corpus=[])
