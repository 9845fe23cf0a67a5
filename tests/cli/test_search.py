import json

import numpy as np
import pytest

from slimvec.cli.hits import best_hits
from slimvec.cli.search import KEYS
from slimvec.data.texts import Item
from slimvec.engine.embedder import Embedder
from slimvec.search.generative import GenerativeIndex
from tests import tiny
from tests.cli.conftest import LINES


def test_hits_are_the_nearest_documents(slimvec, model, texts):
    result = slimvec("search", "files", "the sun", "-m", model, "-d", texts, "--top", 3, "--json").json
    assert set(result) == set(KEYS)
    embedder = Embedder.load(model)
    cosines = embedder.similarity(embedder.embed_queries(["files", "the sun"]), embedder.embed_documents(LINES))
    for row, entry in zip(cosines, result["results"], strict=True):
        order = np.argsort(-row, kind="stable")[:3]
        assert [hit["text"] for hit in entry["hits"]] == [LINES[index] for index in order]
        assert [hit["rank"] for hit in entry["hits"]] == [1, 2, 3]
        np.testing.assert_allclose([hit["cosine"] for hit in entry["hits"]], row[order], atol=1e-4)
    assert [entry["query"] for entry in result["results"]] == ["files", "the sun"]
    assert result["num_documents"] == 4


def test_people_see_rank_cosine_and_first_line(slimvec, model, texts):
    outcome = slimvec("search", "files", "-m", model, "-d", texts, "--top", 2)
    lines = outcome.out.splitlines()
    assert (outcome.code, lines[0].strip()) == (0, "files")
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert all(any(text in line for text in LINES) for line in lines[1:3])
    assert outcome.err == ""


def test_a_query_that_is_truncated_is_reported(slimvec, model, texts):
    outcome = slimvec("search", "files " * 400, "-m", model, "-d", texts)
    assert outcome.code == 0
    assert outcome.err.startswith("1 query was longer than ")


def test_titles_are_embedded_and_shown(slimvec, model, tmp_path):
    rows = [
        {"id": "x", "title": "Open", "text": "Opens a file. More of it."},
        {"id": "y", "text": "one line\nThe next. And another."},
    ]
    source = tmp_path / "d.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = slimvec("search", "q", "-m", model, "-d", source)
    assert "Open  Opens a file." in outcome.out
    assert "one line  The next." in outcome.out
    assert "More of it" not in outcome.out
    result = slimvec("search", "q", "-m", model, "-d", source, "--json").json
    embedder = Embedder.load(model)
    expected = embedder.similarity(
        embedder.embed_queries(["q"]),
        embedder.embed_documents(["Open Opens a file. More of it.", "one line\nThe next. And another."]),
    )
    by_id = {hit["id"]: hit["cosine"] for hit in result["results"][0]["hits"]}
    np.testing.assert_allclose([by_id["x"], by_id["y"]], expected[0], atol=1e-4)


def test_equal_documents_keep_their_order():
    items = [Item("", str(number), "same") for number in range(5)]
    hits = best_hits(np.ones((1, 5), dtype=np.float32), items, top=3)
    assert [hit.id for hit in hits[0]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "option",
    ["--ranking=text", "--path=docs", "--kind=pdf", "--after=2d", "--before=2d", "--rerank=3", "--exact", "--explain"],
)
def test_what_only_an_index_knows_is_refused_beside_a_file(slimvec, model, texts, option):
    outcome = slimvec("search", "files", "-m", model, "-d", texts, option)
    assert (outcome.code, outcome.out) == (2, "")
    name = option.partition("=")[0]
    assert outcome.error == f"error: {name} beside --documents, where it says nothing; expected it with --index alone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([" "], "error: query 1 is empty; expected some text; leave it out"),
        (["good", ""], "error: query 2 is empty; expected some text; leave it out"),
        ([], "error: Missing argument 'QUERY...'; see `slimvec search --help`"),
    ],
)
def test_bad_queries(arguments, message, slimvec, model, texts):
    outcome = slimvec("search", *arguments, "-m", model, "-d", texts, "--json")
    assert (outcome.code, outcome.error) == (2, message)


def test_missing_documents(slimvec, model):
    outcome = slimvec("search", "x", "-m", model, "-d", "nowhere.txt")
    assert (outcome.code, outcome.error) == (2, "error: nowhere.txt does not exist; expected a file; check the path")


def test_long_documents_do_not_push_rank_and_cosine_out(slimvec, model, tmp_path):
    (tmp_path / "d.txt").write_text("word " * 100 + "\n", encoding="utf-8")
    line = slimvec("search", "q", "-m", model, "-d", "d.txt").out.splitlines()[1]
    assert line.split()[0] == "1"
    assert -1 <= float(line.split()[1]) <= 1
    assert line.rstrip().endswith("…")


def test_ngrams_that_the_language_model_writes_find_documents(slimvec, tmp_path_factory, model, texts):
    base = tmp_path_factory.mktemp("base") / "base"
    tiny.save_causal_model(base, initializer_range=0.5)
    given = "search", "files", "-d", texts, "--top", 3
    result = slimvec(*given, "-m", base, "--generate", 1, "--json").json
    index = GenerativeIndex(Embedder.load(base).language_model)
    index.add(LINES)
    wanted = index.search("files", top=3)
    found = result["results"][0]["hits"]
    written = [(hit["text"], tuple(hit["ngrams"])) for hit in found if hit["ngrams"]]
    assert written == [(LINES[hit.document], tuple(text.strip() for text in hit.ngrams)) for hit in wanted]
    assert written
    assert "written: " in slimvec(*given, "-m", base, "--generate", 0.5).out
    assert "says nothing of its base" in slimvec(*given, "-m", model, "--generate", 1).error
    assert "--documents, whose texts" in slimvec("search", "q", "--index", "x", "--generate", 1).error


WRITER = """\
base: {source: base}
data: [{path: pairs.jsonl}]
objective: {kind: ngrams, queries: 4, tokens: 6, span_share: 0}
tuning: {rank: 4, merge: false}
optim: {lr: 0.02, warmup: 0}
run: {steps: 8, dtype: fp32}
"""


def test_a_model_trained_to_write_writes_beside_one_that_embeds(slimvec, model, texts, tmp_path):
    tiny.save_causal_model(tmp_path / "base", initializer_range=0.5)
    rows = [{"query": f"question {number}", "positive": line} for number, line in enumerate(LINES)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(WRITER, encoding="utf-8")
    trained = slimvec("train", "recipe.yaml", "-o", "writer")
    assert "its vectors are not trained; use it with: slimvec search QUESTION" in trained.out
    assert "--language-model writer" in trained.out
    found = {}
    for writer in ("writer", "base"):
        asked = ("search", "question 2", "-m", model, "-d", texts, "--generate", 1, "--language-model", writer)
        hits = slimvec(*asked, "--json").json["results"][0]["hits"]
        index = GenerativeIndex(Embedder.load(writer).language_model)
        index.add(LINES)
        found[writer] = [(hit["text"], tuple(hit["ngrams"])) for hit in hits if hit["ngrams"]]
        assert found[writer] == [
            (LINES[hit.document], tuple(text.strip() for text in hit.ngrams)) for hit in index.search("question 2")
        ]
    assert found["writer"] != found["base"]
    error = slimvec("search", "q", "-d", texts, "--language-model", "writer").error
    assert "--language-model without --generate; expected both, or neither" in error
