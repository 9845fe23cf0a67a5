import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.contamination import (
    Decontamination,
    EvaluationIndex,
    EvaluationText,
    decontaminate,
    find_contamination,
    read_evaluation_texts,
)
from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.ranking.words import is_character, split_tokens

WORDS = [f"word{number}" for number in range(60)]


def evaluation(*texts, dataset="set", part="documents"):
    return [EvaluationText(dataset, part, text) for text in texts]


def has_match(text, *texts, **settings):
    return bool(EvaluationIndex(evaluation(*texts), **settings).matches(text))


@pytest.mark.parametrize(("num_shared", "found"), [(12, False), (13, True)])
def test_a_run_is_thirteen_words(num_shared, found):
    shared = " ".join(WORDS[:num_shared])
    assert has_match(f"before {shared} after", f"Other, {shared.upper()}! words") is found


@pytest.mark.parametrize(("num_shared", "found"), [(39, False), (40, True)])
def test_a_run_is_forty_characters_without_spaces(num_shared, found):
    shared = "".join(chr(0x4E00 + number) for number in range(num_shared))
    assert has_match(f"京{shared}都", f"大{shared}阪") is found


def test_words_and_characters_add_up():
    shared = " ".join(WORDS[:7]) + "".join(chr(0x4E00 + number) for number in range(19))
    assert has_match(f"x {shared}", f"y {shared}")  # 7/13 + 19/40 > 1
    assert not has_match(f"x {shared[:-1]}", f"y {shared[:-1]}")


def test_a_short_text_must_be_equal_as_a_whole():
    assert has_match("Where is my card?", "where is my card")
    assert not has_match("Where is my card now?", "where is my card")


def test_the_share_is_of_the_text_or_of_the_evaluation_text():
    run = " ".join(WORDS[:20])
    (long_text,) = EvaluationIndex(evaluation(run + " a b c d e")).matches(" ".join([*"uvwxyz", run, *"rst" * 10]))
    assert (long_text.kind, long_text.share, long_text.shared) == ("run", 20 / 25, " ".join(WORDS[:13]))
    (short_text,) = EvaluationIndex(evaluation(run + " a b" * 50)).matches(run + " q")
    assert short_text.share == 20 / 21


def test_runs_in_many_evaluation_texts_are_set_phrases():
    phrase = " ".join(WORDS[:13])
    texts = [f"{phrase} {number}" for number in range(3)]
    assert has_match(f"x {phrase}", *texts, max_texts=3)
    index = EvaluationIndex(evaluation(*texts), max_texts=2)
    assert not index.matches(f"x {phrase}")
    assert index.num_common == 1


def test_every_part_that_shares_something_is_named():
    run = " ".join(WORDS[:13])
    texts = evaluation(run, part="queries") + evaluation(f"{run} x", dataset="other") + evaluation("none of it")
    found = EvaluationIndex(texts).matches(run)
    assert [(match.dataset, match.part, match.kind) for match in found] == [
        ("set", "queries", "exact"),
        ("other", "documents", "run"),
    ]


def long_runs(tokens, words, characters):
    """Every run of enough tokens, the slow way."""
    runs = set()
    for start in range(len(tokens)):
        units = 0
        for end in range(start, len(tokens)):
            units += words if is_character(tokens[end]) else characters
            if units >= words * characters:
                runs.add(tuple(tokens[start : end + 1]))
                break
    return runs


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "茶", "館", "ไ"]), max_size=14).map(" ".join)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_matches_equal_comparing_all_runs(text, texts):
    index = EvaluationIndex(evaluation(*texts), words=3, characters=5, max_texts=100)
    tokens = split_tokens(text)
    exact = bool(tokens) and any(split_tokens(other) == tokens for other in texts)
    own = long_runs(tokens, 3, 5)
    run = any(own & long_runs(split_tokens(other), 3, 5) for other in texts)
    expected = ["exact"] if exact else ["run"] if run else []
    assert [match.kind for match in index.matches(text)] == expected


def test_contaminated_records_are_counted_by_source_and_set_and_left_out():
    run = " ".join(WORDS[:20])
    records = [
        Record("where is my card", ("in the post",), source="bank"),
        Record("fresh", (f"start {run} end",), source="bank"),
        Record("weak", (" ".join(WORDS[:13]) + " x" * 40,), source="bank"),
        Record("clean", ("nothing of the kind",), negatives=(run,), source="other"),
    ]
    texts = evaluation("Where is my card?", part="queries") + evaluation(run + " tail" + " of text" * 20)
    kept, tally = decontaminate(records, texts)
    assert list(kept) == records[3:]
    report = tally.report()
    assert (report.num_records, report.num_contaminated, report.sources) == (4, 3, {"bank": 3, "other": 0})
    documents, queries = report.overlaps
    assert (queries.num_exact_queries, queries.num_exact_documents, queries.num_runs) == (1, 0, 0)
    assert (documents.num_exact_queries, documents.num_runs, documents.num_long_runs) == (0, 2, 1)
    assert queries.examples == ("where is my card",)
    assert report.evaluation_sizes == {"set/documents": 1, "set/queries": 1}

    kept, tally = decontaminate(records, texts, Decontamination(min_share=0.5))
    assert list(kept) == records[2:]
    assert tally.report().overlaps == report.overlaps
    assert find_contamination(records, texts, Decontamination(negatives=True)).sources == {"bank": 3, "other": 1}


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_evaluation_texts_of_retrieval_folders_and_files(tmp_path):
    write(tmp_path / "cards" / "corpus.jsonl", [{"id": "d", "title": "Cards", "text": "about cards"}])
    write(tmp_path / "cards" / "queries.jsonl.gz", [{"id": "q", "text": "which card"}])
    write(tmp_path / "cards" / "qrels.jsonl", [{"query_id": "q", "doc_id": "d", "score": 1}])
    expected = evaluation("which card", dataset="cards", part="queries")
    expected.append(EvaluationText("cards", "documents", "Cards about cards", "about cards"))
    assert list(read_evaluation_texts(tmp_path / "cards")) == expected
    assert list(read_evaluation_texts(tmp_path)) == expected
    write(tmp_path / "bank" / "test.jsonl.gz", [{"text": "a", "label": 1}, {"s1": "b", "s2": "c"}])
    (tmp_path / "bank" / "lines.txt").write_text("d\n\ne\n", encoding="utf-8")
    assert list(read_evaluation_texts(tmp_path / "bank" / "test.jsonl.gz")) == evaluation(
        "a", "b", "c", dataset="bank/test", part="texts"
    )
    assert [text.text for text in read_evaluation_texts(tmp_path / "bank" / "lines.txt")] == ["d", "e"]


def test_evaluation_files_that_cannot_be_read(tmp_path):
    write(tmp_path / "odd.jsonl", [{"question": "a"}])
    with pytest.raises(InputError, match=r"odd.jsonl:1: no field with a text; expected one of text, s1, .*question"):
        list(read_evaluation_texts(tmp_path / "odd.jsonl"))
    with pytest.raises(InputError, match="holds no retrieval set"):
        list(read_evaluation_texts(tmp_path))
    with pytest.raises(InputError, match="does not exist"):
        list(read_evaluation_texts(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="no evaluation texts"):
        EvaluationIndex([])


@pytest.mark.parametrize(
    "copy", ["The Title its text", "THE TITLE  its text!", "Its text.", "\uff34he title: its text"]
)
def test_copies_of_a_document_with_a_title_are_found_in_all_their_forms(copy, tmp_path):
    folder = tmp_path / "set"
    write(folder / "corpus.jsonl", [{"id": "d", "title": "The title", "text": "its text"}])
    write(folder / "queries.jsonl", [{"id": "q", "text": "ask"}])
    write(folder / "qrels.jsonl", [{"query_id": "q", "doc_id": "d", "score": 1}])
    report = find_contamination([Record("x", (copy,), source="s")], read_evaluation_texts(folder))
    assert report.num_contaminated == 1
    assert report.overlaps[0].num_exact_documents == 1


def test_negatives_that_are_evaluation_documents_are_counted():
    records = [Record("a", ("b",), ("An  answer!",), source="s"), Record("c", ("d",), ("other",), source="s")]
    report = find_contamination(records, evaluation("an answer"))
    assert (report.num_contaminated, report.overlaps[0].num_negatives) == (0, 1)
    assert find_contamination(records, evaluation("an answer"), Decontamination(negatives=True)).num_contaminated == 1
