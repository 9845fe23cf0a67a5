import gzip
import json

import pytest

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.retrieval_files import find_retrieval_sets, read_retrieval_set
from slimvec.errors import InputError

CORPUS = [{"id": "d1", "title": "T", "text": "one"}, {"id": "d2", "title": "", "text": "two"}]
QUERIES = [{"id": "q1", "text": "ask", "lang": "en"}, {"id": "q2", "text": "more"}]
QRELS = [{"query_id": "q1", "doc_id": "d2", "score": 2}, {"query_id": "q1", "doc_id": "d1", "score": 0}]


def write(folder, *, corpus=CORPUS, queries=QUERIES, qrels=QRELS):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        with gzip.open(folder / f"{stem}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def test_our_layout(tmp_path):
    found = read_retrieval_set(write(tmp_path / "small"))
    assert found.name == "small"
    assert [document.content for document in found.documents] == ["T one", "two"]
    assert found.queries == (Query("q1", "ask", "en"),)
    assert found.qrels == {"q1": {"d2": 2, "d1": 0}}
    assert found.num_unjudged == 1


def test_the_layout_of_beir_is_the_same_set(tmp_path):
    ours = read_retrieval_set(write(tmp_path / "small"))
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    for stem, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        renamed = [{"_id": row["id"], **{key: row[key] for key in row if key != "id"}} for row in rows]
        (beir / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td1\t0\n")
    theirs = read_retrieval_set(beir)
    assert theirs.content_hash == ours.content_hash
    with pytest.raises(InputError, match=r"dev.tsv does not exist; expected a split that is there: test"):
        read_retrieval_set(beir, split="dev")
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\n")
    with pytest.raises(InputError, match=r"test.tsv:2: 2 columns; expected query, document and grade"):
        read_retrieval_set(beir)


def test_headings_are_told_from_a_first_judgement(tmp_path):
    folder = write(tmp_path / "small")
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("q1\td2\t2.0\nq1\td1\t0\n")
    assert read_retrieval_set(folder).qrels == {"q1": {"d2": 2, "d1": 0}}
    (folder / "qrels" / "test.tsv").write_text("q1\td2\t0.5\nq1\td1\t1\n")
    with pytest.raises(InputError, match=r"test.tsv:1: score '0.5'; expected a whole number, at most 2,147,483,647"):
        read_retrieval_set(folder)


def test_the_last_of_two_grades_counts(tmp_path):
    again = {"query_id": "q1", "doc_id": "d2", "score": 1}
    found = read_retrieval_set(write(tmp_path / "small", qrels=[*QRELS, again]))
    assert found.qrels["q1"]["d2"] == 1
    assert found.num_regraded == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"qrels": [{"query_id": "q9", "doc_id": "d1", "score": 1}]}, "qrels.jsonl.gz:1: unknown query q9"),
        ({"qrels": [*QRELS, {"query_id": "q1", "doc_id": "d9", "score": 1}]}, "qrels.jsonl.gz:3: unknown document d9"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1", "score": 0.5}]}, "score 0.5; expected a whole number"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1"}]}, "score None; expected a whole number"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1", "score": "--1"}]}, "score '--1'; expected a whole number"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1", "score": 10**400}]}, r"score 10+\.\.\.0+; expected a whole num"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1", "score": "9" * 5000}]}, r"score '9+\.\.\.9+'; expected"),
        ({"qrels": [{"query_id": "q1", "doc_id": "d1", "score": float("nan")}]}, "score nan; expected a whole number"),
        ({"qrels": QRELS[1:]}, "small has no query with a relevant document; expected at least one"),
        ({"corpus": [*CORPUS, CORPUS[0]]}, "corpus.jsonl.gz:3: id d1 occurs a second time"),
        ({"corpus": [{"id": "d1", "title": "", "text": " "}]}, "corpus.jsonl.gz:1: title and text together is empty"),
        ({"corpus": [{"id": "d1"}]}, "corpus.jsonl.gz:1: title and text together is empty"),
        ({"corpus": []}, "small has no documents"),
        ({"queries": [{"id": "q1"}]}, r"queries.jsonl.gz:1: text is a NoneType \(None\); expected a string"),
        ({"queries": [{"text": "ask"}]}, "queries.jsonl.gz:1: no id or _id; expected an id"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, changed, message):
    if changed.get("corpus") == []:
        changed = {**changed, "qrels": []}
    with pytest.raises(InputError, match=message):
        read_retrieval_set(write(tmp_path / "small", **changed), strict=True)


def test_what_is_missing_or_empty_is_left_out_and_counted(tmp_path):
    missing = [{"query_id": "q1", "doc_id": "d9", "score": 1}, {"query_id": "q9", "doc_id": "d1", "score": 1}]
    folder = write(
        tmp_path / "small",
        corpus=[*CORPUS, {"id": "d3", "text": " "}, {"id": "d4"}],
        qrels=[*QRELS, *missing, {"query_id": "q1", "doc_id": "d3", "score": 1}],
    )
    found = read_retrieval_set(folder)
    assert (found.num_empty, found.num_missing) == (2, 3)
    assert found.content_hash == read_retrieval_set(write(tmp_path / "whole" / "small")).content_hash
    assert found.left_out == (
        "small: 2 empty documents and 3 judgements of queries or documents that are not there left out"
    )
    with pytest.raises(InputError, match=r"corpus.jsonl.gz:\d: title and text together is empty"):
        read_retrieval_set(folder, strict=True)


def test_sets_in_a_folder_are_found_in_order(tmp_path):
    write(tmp_path / "b")
    write(tmp_path / "a")
    (tmp_path / "other").mkdir()
    assert [path.name for path in find_retrieval_sets(tmp_path)] == ["a", "b"]
    assert find_retrieval_sets(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(InputError, match="other holds no retrieval set"):
        find_retrieval_sets(tmp_path / "other")
    with pytest.raises(InputError, match="none is not a folder"):
        find_retrieval_sets(tmp_path / "none")
    with pytest.raises(InputError, match=r"other has no corpus.jsonl or corpus.jsonl.gz"):
        read_retrieval_set(tmp_path / "other")


def _two_languages():
    return RetrievalSet(
        "both",
        tuple(Document(f"{lang}-d", f"text {lang}", language=lang, align="d") for lang in ("de", "en")),
        tuple(Query(f"{lang}-q", f"ask {lang}", language=lang, align="q") for lang in ("de", "en")),
        {"de-q": {"de-d": 1, "en-d": 1}, "en-q": {"en-d": 1}},
    )


def test_a_set_in_several_languages_splits_into_monolingual_ones():
    parts = _two_languages().by_language()
    assert list(parts) == ["both/de", "both/en"]
    assert [document.id for document in parts["both/de"].documents] == ["de-d"]
    assert parts["both/de"].qrels == {"de-q": {"de-d": 1}}
    assert parts["both/de"].queries[0].align == "q"


def test_a_set_that_does_not_say_its_languages_stays_whole(tmp_path):
    small = read_retrieval_set(write(tmp_path / "small"))
    assert small.by_language() == {"small": small}


def test_the_hash_follows_the_texts_and_not_their_order():
    one = _two_languages()
    turned = RetrievalSet("both", one.documents[::-1], one.queries[::-1], one.qrels)
    other = RetrievalSet("both", one.documents, one.queries, {"de-q": {"de-d": 1}, "en-q": {"en-d": 1}})
    assert one.content_hash == turned.content_hash != other.content_hash
