import re
from pathlib import Path

import numpy as np
import pytest

from slimvec.cli.explain import KEYS
from slimvec.engine.embedder import Embedder

QUERY, DOCUMENT = "open a file", "Reading bytes from a file or a socket."


def test_shares_sum_to_the_cosine(slimvec, model):
    result = slimvec("explain", QUERY, DOCUMENT, "-m", model, "--json").json
    assert set(result) == set(KEYS)
    embedder = Embedder.load(model)
    cosine = embedder.similarity(embedder.embed_queries([QUERY]), embedder.embed_documents([DOCUMENT]))[0, 0]
    for side in ("query", "document"):
        np.testing.assert_allclose(sum(word["share"] for word in result[side]), cosine, atol=1e-5)
    np.testing.assert_allclose(result["cosine"], cosine, atol=1e-5)
    words = [word["text"] for word in result["query"] if not word["is_prompt"] and word["text"].strip()]
    assert words == QUERY.split()
    assert "".join(DOCUMENT[word["start"] : word["end"]] for word in result["document"]) == DOCUMENT
    assert result["prompt"] == embedder.spec.prompts.render("query")
    assert len(result["pairs"]) == 8
    assert set(result["pairs"][0]) == {"query", "document", "share"}
    assert (result["num_truncated"], result["html"]) == (0, None)


def test_tokens_instead_of_words(slimvec, model):
    result = slimvec("explain", QUERY, DOCUMENT, "-m", model, "--tokens", "--top", 2, "--json").json
    assert [token["text"] for token in result["document"]] == list(DOCUMENT)
    assert len(result["pairs"]) == 2


def test_people_see_both_texts_and_the_pairs(slimvec, model):
    outcome = slimvec("explain", QUERY, DOCUMENT, "-m", model, "--task", "Find the call", "--top", 3)
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.rstrip() for line in outcome.out.splitlines()]
    assert re.fullmatch(r"cosine [+-]0\.\d{4}  the exact sum over \d+ x 16 pairs", lines[0])
    assert "Instruct: Find the call" in lines
    assert QUERY in lines
    assert DOCUMENT in lines
    start = lines.index(next(line for line in lines if line.split() == ["share", "query", "document"]))
    assert len([line for line in lines[start + 1 :] if line]) == 3


def test_a_page_is_written_whole_or_not_at_all(slimvec, model, only):
    result = slimvec("explain", "a <b>", DOCUMENT, "-m", model, "--html", "page.html", "--json").json
    assert result["html"] == "page.html"
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "&lt;" in page
    assert "<b>" not in page.replace(f"<b>{result['cosine']:+.4f}</b>", "")
    again = slimvec("explain", "a", DOCUMENT, "-m", model, "--html", "page.html")
    assert (again.code, again.error.split(";")[0]) == (2, "error: output page.html exists")
    assert slimvec("explain", "a", DOCUMENT, "-m", model, "--html", "page.html", "--force").code == 0
    only("page.html")


def test_what_was_cut_off_is_told(slimvec, model):
    outcome = slimvec("explain", QUERY, "word " * 60, "-m", model)
    assert outcome.err == "the document was longer than 200 tokens and was truncated\n"
    assert slimvec("explain", QUERY, "word " * 60, "-m", model, "--json").json["num_truncated"] == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([" ", "text"], "error: the query is empty; expected some text; leave it out"),
        (["text", ""], "error: the document is empty; expected some text; leave it out"),
        (["text"], "error: Missing argument 'DOCUMENT'; see `slimvec explain --help`"),
        (["a", "b", "--dims", "99"], "error: dims 99; expected 1 to 32, the model's width"),
        (["a", "b", "--task", "no"], "error: task 'no'; expected one of retrieval, or a whole instruction in words"),
    ],
)
def test_wrong_use(arguments, message, slimvec, model, only):
    outcome = slimvec("explain", *arguments, "-m", model, "--html", "page.html", "--json")
    assert (outcome.code, outcome.error) == (2, message)
    only()
