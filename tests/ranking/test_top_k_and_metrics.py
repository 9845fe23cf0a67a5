import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.ranking import top_k as top_k_module
from slimvec.ranking.bm25 import lexical_words, rank_lexically
from slimvec.ranking.metrics import measure
from slimvec.ranking.top_k import TopK, rank_scores, rank_vectors, top_k


def slow_ranking(scores, ids, kept):
    return [sorted(ids, key=lambda i, row=row: (row[ids.index(i)], i), reverse=True)[:kept] for row in scores]


def slow_measure(ranked, grades):
    gains = [max(0, grades.get(i, 0)) for i in ranked]
    ideal = sorted((g for g in grades.values() if g > 0), reverse=True)
    dcg, best = (sum(g / math.log2(r + 2) for r, g in enumerate(row[:10])) for row in (gains, ideal))
    first = next((1 / (r + 1) for r, g in enumerate(gains[:10]) if g > 0), 0.0)
    recalls = {f"recall_at_{k}": sum(g > 0 for g in gains[:k]) / len(ideal) for k in (1, 10, 100)}
    return {"ndcg_at_10": dcg / best, "mrr_at_10": first, **recalls}


@st.composite
def problems(draw):
    """Scores with many ties, ids in any order, graded judgements."""
    num_queries, num_documents = draw(st.integers(1, 4)), draw(st.integers(1, 25))
    ids = draw(st.permutations([f"d{n}" for n in range(num_documents)]))
    row = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.5]), min_size=num_documents, max_size=num_documents)
    scores = np.array(draw(st.lists(row, min_size=num_queries, max_size=num_queries)), dtype=np.float32)
    qrels = {}
    for query in range(num_queries):
        grades = draw(st.dictionaries(st.sampled_from(ids), st.integers(-1, 3), min_size=1))
        qrels[f"q{query}"] = {**grades, draw(st.sampled_from(ids)): draw(st.integers(1, 3))}
    return scores, ids, qrels


@given(problems())
def test_ranking_and_metrics_equal_the_slow_reference(problem):
    scores, ids, qrels = problem
    found = rank_scores(scores, ids)
    expected = slow_ranking(scores, ids, 100)
    assert [found.ids(query) for query in range(len(scores))] == expected
    values = measure(found, list(qrels), qrels)
    for query, (query_id, ranked) in enumerate(zip(qrels, expected, strict=True)):
        for name, value in slow_measure(ranked, qrels[query_id]).items():
            assert values[name][query] == pytest.approx(value, abs=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(problem, random):
    scores, ids, qrels = problem
    order = list(range(len(ids)))
    random.shuffle(order)
    before = measure(rank_scores(scores, ids), list(qrels), qrels)
    after = measure(rank_scores(scores[:, order], [ids[n] for n in order]), list(qrels), qrels)
    for name in before:
        assert (before[name] == after[name]).all()


@given(problems())
def test_metrics_lie_between_0_and_1(problem):
    scores, ids, qrels = problem
    for values in measure(rank_scores(scores, ids), list(qrels), qrels).values():
        assert (values >= 0).all()
        assert (values <= 1).all()


@pytest.mark.parametrize("cells", [1, 7, 4_000_000])
def test_vectors_in_blocks_rank_as_the_whole_matrix(monkeypatch, cells):
    generator = np.random.default_rng(0)
    documents = generator.normal(size=(40, 8)).astype(np.float32)
    documents[20:] = documents[:20]  # every document twice, so that ids decide
    queries = generator.normal(size=(5, 8)).astype(np.float32)
    ids = [f"d{n:02}" for n in range(40)]
    scores = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    monkeypatch.setattr(top_k_module, "_CELLS_AT_ONCE", cells)
    monkeypatch.setattr(top_k_module, "_ROWS_AT_ONCE", 2)
    found = rank_vectors(queries, documents, ids, num_kept=7)
    assert [found.ids(query) for query in range(5)] == slow_ranking(scores, ids, 7)


def test_scores_that_are_no_numbers_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a score is not a number"):
        rank_scores([np.array([0.0, np.nan])], ["a", "b"])
    with pytest.raises(ValueError, match="do not fit"):
        rank_vectors(np.ones((1, 2), np.float32), np.ones((2, 2), np.float32), ["a"])


def slow_bm25(query, documents, k1=1.5, b=0.75):
    words = [lexical_words(document) for document in documents]
    average = sum(map(len, words)) / len(words)
    scores = []
    for own in words:
        score = 0.0
        for word in lexical_words(query):
            containing = sum(word in other for other in words)
            idf = math.log(1 + (len(words) - containing + 0.5) / (containing + 0.5))
            count = own.count(word)
            score += idf * count / (count + k1 * (1 - b + b * len(own) / average))
        scores.append(score)
    return scores


DOCUMENTS = [
    "the cat sat on a mat",
    "a dog and another dog",
    "cats and dogs, cat and dog",
    "snake_case names",
    "猫在垫子上",
]


def test_bm25_ranks_by_its_formula():
    ids = [f"d{n}" for n in range(len(DOCUMENTS))]
    for query in ("cat mat", "dog", "dog dog cat", "垫子", "unknown word", "the"):
        expected = slow_ranking([np.float32(slow_bm25(query, DOCUMENTS))], ids, 100)[0]
        assert rank_lexically([query], DOCUMENTS, ids).ids(0) == expected


def test_bm25_without_any_word_ranks_by_id():
    assert rank_lexically(["...", "a"], ["!", "?"], ["x", "y"]).ids(0) == ["y", "x"]


def test_the_best_of_blocks_are_those_of_the_whole_with_the_earlier_first():
    scores = np.random.default_rng(0).integers(0, 4, size=(3, 30)).astype(np.float32)
    whole = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    assert (top_k(scores, 7) == whole).all()
    blocks = TopK(7)
    for start in range(0, 30, 4):
        blocks.add(scores[:, start : start + 4], start)
    columns, found = blocks.sorted()
    assert (columns == whole).all()
    assert (found == np.take_along_axis(scores, whole, axis=1)).all()
    with pytest.raises(ValueError, match="the best of no scores"):
        TopK(1).sorted()
