"""Searching: against a plain computation over all chunks, and what each hit says of itself."""

import re
from datetime import date

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.ranking.fusion import Ranked, fuse_ranks
from slimvec.search.chunking import embedded_text
from slimvec.search.filters import Filters, parse_day, path_pattern
from slimvec.search.highlighting import highlight, matched_words
from slimvec.search.quantized import QuantizedQuery, Rest, rotate
from tests import tiny
from tests.search.support import make_index, write_documents


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, embedder, model):
    folder = tmp_path_factory.mktemp("searching")
    documents = write_documents(folder / "docs")
    (documents / "sub").mkdir()
    for number in range(40):
        (documents / "sub" / f"it's {number}.txt").write_text(f"{number} words {'xyz'[number % 3]} here.")
    return {
        kind: make_index(folder / kind, embedder, documents, model=model, vectors=kind)
        for kind in ("float32", "int8", "binary")
    }


@pytest.fixture
def index(indexes):
    return indexes["float32"]


def every_chunk(index):
    return [row for path in sorted(index.table.files()) for row in index.chunks_of(path)]


def expected_cosines(index, query):
    """Cosines of a query with what was embedded of every chunk."""
    rows = every_chunk(index)
    parts = [(row["title"], row["heading"]) for row in rows]
    heads = [" > ".join(part for part in (t, h if h != t else "") if part) for t, h in parts]
    texts = [f"{head}\n\n{row['text']}" if head else row["text"] for head, row in zip(heads, rows, strict=True)]
    vectors = index.embedder.embed_documents(texts)
    return rows, vectors @ index.embedder.embed_queries([query])[0]


@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("int8", 5e-3)])
def test_vectors_rank_as_a_plain_computation_does(indexes, kind, tolerance):
    index = indexes[kind]
    rows, cosines = expected_cosines(index, "cats at night")
    result = index.search("cats at night", ranking="vector", top=7)
    assert [hit.score for hit in result.hits] == pytest.approx(sorted(cosines, reverse=True)[:7], abs=tolerance)
    by_chunk = {(row["path"], row["number"]): cosine for row, cosine in zip(rows, cosines, strict=True)}
    for hit in result.hits:
        assert hit.score == pytest.approx(by_chunk[hit.path, hit.number], abs=tolerance)
    assert (result.is_exact, result.num_searched) == (True, len(rows))


def test_binary_vectors_find_most_of_the_nearest(indexes):
    rows, cosines = expected_cosines(indexes["binary"], "cats at night")
    best = {(rows[place]["path"], rows[place]["number"]) for place in np.argsort(-cosines)[:10]}
    found = indexes["binary"].search("cats at night", ranking="vector", top=20).hits
    assert len(best & {(hit.path, hit.number) for hit in found}) >= 7


@pytest.mark.parametrize("dims", [1, 5, 61, 64, 96])
def test_quantized_scores_are_near_the_products(dims):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, dims)).astype(np.float32) + 2
    query, centre = rng.normal(size=dims).astype(np.float32), vectors.mean(axis=0)
    rest, prepared = Rest.of(vectors, centre), QuantizedQuery.of(query, centre)
    np.testing.assert_allclose(rotate(vectors) @ rotate(query[None])[0], vectors @ query, rtol=1e-3, atol=1e-3)
    exact = vectors @ query
    np.testing.assert_allclose(prepared.codes_scores(rest.codes, rest.codes_scales), exact, atol=0.02 * dims**0.5)
    size = np.sqrt(np.square(rest.values).mean(axis=1, keepdims=True))
    levels = np.where(np.abs(rest.values) > 0.9816 * size, 1.510, 0.4528) * np.where(rest.values > 0, 1, -1)
    levels *= rest.levels_scales[:, None]
    expected = query @ centre + levels @ rotate(query[None])[0]
    scores = prepared.levels_scores(rest.bits, rest.magnitudes, rest.levels_scales)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose((levels * rest.values).sum(axis=1), np.square(rest.values).sum(axis=1), rtol=1e-4)
    if dims > 16:  # four levels, where signs alone leave .36 of a normal value
        assert np.square(levels - rest.values).sum() < 0.2 * np.square(rest.values).sum()


def test_a_vector_at_the_centre_scores_as_the_centre():
    centre = np.ones(8, dtype=np.float32)
    rest, prepared = Rest.of(centre[None], centre), QuantizedQuery.of(centre, centre)
    assert prepared.codes_scores(rest.codes, rest.codes_scales).tolist() == [8]
    assert prepared.levels_scores(rest.bits, rest.magnitudes, rest.levels_scales).tolist() == [8]


def test_words_rank_by_bm25_and_say_which(index):
    result = index.search("How do fish swim?", ranking="text")
    best = result.hits[0]
    assert (best.text, best.place, best.kind) == ("Fish swim in water.", "record f1", "table")
    assert set(best.explanation.words) == {"fish", "swim"}
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
    assert result.hits[0].explanation.cosine is None
    assert index.search("zebra", ranking="text").hits == ()


def test_hybrid_fuses_the_ranks(index):
    depth = 200
    by = {name: index.search("cat food", ranking=name, top=depth).hits for name in ("vector", "text")}
    scores = {}
    for hits in by.values():
        for hit in hits[:100]:
            scores[hit.path, hit.number] = scores.get((hit.path, hit.number), 0) + 1 / (60 + hit.rank)
    result = index.search("cat food", top=5)
    assert [hit.score for hit in result.hits] == pytest.approx(sorted(scores.values(), reverse=True)[:5])
    for hit in result.hits:
        assert hit.score == pytest.approx(scores[hit.path, hit.number])


def test_reranking_reads_the_best_once_more(tmp_path):
    tiny.save_causal_model(tmp_path / "base")
    embedder = Embedder.load(tmp_path / "base", dtype="float32")
    index = make_index(tmp_path / "index", embedder, write_documents(tmp_path / "docs"))
    plain = index.search("cat food", top=6)
    result = index.search("cat food", top=3, rerank=6)
    contents = [embedded_text(hit.title, hit.heading, hit.text) for hit in plain.hits]
    given = embedder.rerank("cat food", contents)
    assert result.ranking == "hybrid + rerank"
    assert [hit.text for hit in result.hits] == [plain.hits[found.index].text for found in given][:3]
    assert [hit.score for hit in result.hits] == pytest.approx([found.score for found in given][:3], abs=1e-3)
    assert result.hits[0].explanation.likelihood == pytest.approx(given[0].likelihood, abs=1e-4)


def test_fusion_of_rankings():
    fused = fuse_ranks([Ranked([1, 2], [0.9, 0.8]), Ranked([2, 3], [5.0, 4.0])], top=3)
    assert [(one.row, one.ranks, one.scores) for one in fused] == [
        (2, (2, 1), (0.8, 5.0)), (1, (1, None), (0.9, None)), (3, (None, 2), (None, 4.0)),
    ]  # fmt: skip


@pytest.mark.parametrize("ranking", ["vector", "text", "hybrid"])
@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(paths=("*.md",)), {"cats.md"}),
        (Filters(kinds=("code", "table")), {"files.py", "animals.jsonl"}),
        (Filters(paths=("docs/sub", "cats.md"), kinds=("markdown",)), {"cats.md"}),
        (Filters(paths=("sub/it's 1*.txt",)), {f"it's {n}.txt" for n in (1, *range(10, 20))}),
        (Filters(after=date(2999, 1, 1)), set()),
        (Filters(before=date(2999, 1, 1), paths=("weather.txt",)), {"weather.txt"}),
    ],
)
def test_filters_hold_in_every_ranking(index, filters, kept, ranking):
    result = index.search("words cats fish open rain", ranking=ranking, filters=filters, top=50)
    assert {hit.path.rpartition("/")[2] for hit in result.hits} <= kept
    if ranking == "vector":
        assert {hit.path.rpartition("/")[2] for hit in result.hits} == kept
        assert result.num_searched == len(result.hits)


def test_patterns_and_days():
    cases = {
        "*.md": ("/a/x.md", "/a/x.mdx"),
        "docs": ("/docs/a/b.txt", "/mydocs/a"),
        "a/**/c.py": ("/a/c.py", "/ab/c.py"),
        "/a/*.py": ("/a/x.py", "/b/a/x.py"),
        "a+b.txt": ("/a+b.txt", "/aab.txt"),
        "./docs/*.md": ("/a/docs/x.md", "/a/docs.md"),
    }
    for glob, (fits, does_not) in cases.items():
        assert re.search(path_pattern(glob), fits)
        assert not re.search(path_pattern(glob), does_not)
    assert parse_day("2026-01-02") == date(2026, 1, 2)
    assert (date.today() - parse_day("3d")).days == 3
    with pytest.raises(InputError, match="day 'soon'; expected a day such as 2026-11-29"):
        parse_day("soon")
    for glob in ("", ".", "./", "/"):
        with pytest.raises(InputError, match=f"path '{glob}'; expected a name or a pattern"):
            Filters(paths=(glob,)).where()
    for day in ("0001-01-01", "9999-12-31", "99999d"):
        with pytest.raises(InputError, match=f"day '{day}'; expected a year from 1900 to 9000"):
            parse_day(day)


def test_a_query_that_is_truncated_says_so(index):
    assert not index.search("cats", top=1).query_truncated
    assert index.search("cats " * 500, top=1).query_truncated


def test_highlights_by_words_else_by_the_model(embedder):
    text = "# Food\n\nDogs bark. A cat eats fish, says the cat.\n\nNothing here."
    chosen = highlight(text, matched_words(text, ["cat", "fish"]))
    assert text[chosen.start : chosen.end] == "A cat eats fish, says the cat."
    assert [text[start:end] for start, end in chosen.words] == ["cat", "fish", "cat"]
    sentences = ["Alpha beta gamma.", "Second one here.", "The third is last."]
    text = " ".join(sentences)
    spans = [(text.index(one), text.index(one) + len(one)) for one in sentences]
    query = embedder.embed_queries(["zzz"])[0]
    nearest = spans[int(np.argmax(embedder.embed_chunks(text, chunks=spans).vectors @ query))]
    chosen = highlight(text, [], embedder=embedder, query=query)
    assert (chosen.start, chosen.end, chosen.by) == (*nearest, "model")
    assert highlight(text, []).by == "start"


def test_words_match_across_scripts_and_forms():
    assert [word for *_, word in matched_words("我喜欢猫", ["喜欢"])] == ["喜欢", "喜欢"]
    assert [word for *_, word in matched_words("Open_File OPEN", ["open"])] == ["open", "open"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": " "}, "the query is empty"),
        ({"top": 0}, "0 hits; expected at least 1"),
        ({"rerank": -1}, "rerank -1; expected 0 for none"),
        ({"ranking": "best"}, "ranking 'best'; expected vector, text or hybrid"),
        ({"filters": Filters(kinds=("png",))}, "kind 'png'; expected one of text, markdown"),
    ],
)
def test_bad_searches(index, arguments, message):
    with pytest.raises(InputError, match=message):
        index.search(**{"query": "q", **arguments})
