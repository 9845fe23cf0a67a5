import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.mining.bm25 import Bm25Scorer
from slimvec.data.mining.collection import collect
from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.scoring import VectorScorer
from slimvec.data.mining.search import find_best, find_ranks
from slimvec.data.records import Record
from slimvec.ranking.bm25 import K1, B, lexical_words


@st.composite
def problems(draw):
    """Vectors of small whole numbers, so that products are exact and many are equal; known documents and targets."""
    num_queries, num_documents, dims = draw(st.integers(1, 5)), draw(st.integers(1, 30)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    queries = generator.integers(-2, 3, (num_queries, dims)).astype(np.float32)
    documents = generator.integers(-2, 3, (num_documents, dims)).astype(np.float32)
    num_candidates = draw(st.integers(1, num_documents))
    known = [sorted(draw(st.sets(st.integers(0, num_candidates - 1), max_size=6))) for _ in range(num_queries)]
    targets = [sorted(draw(st.sets(st.integers(0, num_documents - 1), min_size=1, max_size=4))) for _ in known]
    return queries, documents, num_candidates, known, targets


def slow_best(scores, known, num_kept):
    allowed = [number for number in range(len(scores)) if number not in known]
    return sorted(allowed, key=lambda number: (-scores[number], number))[:num_kept]


@given(problems(), st.integers(1, 31), st.integers(1, 31))
def test_blocked_search_equals_sorting_everything(problem, width, num_kept):
    queries, documents, num_candidates, known, _ = problem
    scorer = VectorScorer(queries, documents, num_candidates, block_documents=width)
    found = find_best(scorer, 0, len(queries), Ragged.of(known), num_kept)
    for query, row in enumerate(queries @ documents[:num_candidates].T):
        expected = slow_best(row, known[query], num_kept)
        shown = found.documents[query]
        assert shown[shown >= 0].tolist() == expected
        assert found.scores[query][shown >= 0].tolist() == row[expected].tolist()
        assert (found.scores[query][shown < 0] == -np.inf).all()
        last = row[expected[-1]] if len(expected) == num_kept else -np.inf
        assert found.num_known[query] == sum(row[number] >= last for number in known[query])


@given(problems(), st.integers(1, 31))
def test_ranks_count_all_that_score_at_least_as_much(problem, width):
    queries, documents, num_candidates, known, targets = problem
    scorer = VectorScorer(queries, documents, num_candidates, block_documents=width)
    start = len(queries) // 2
    part = Ragged.of(targets[start:])
    ranks, scores = find_ranks(scorer, start, len(queries), Ragged.of(known[start:]), part)
    expected_ranks, expected_scores = [], []
    for query in range(start, len(queries)):
        row = queries[query] @ documents.T
        for target in targets[query]:
            others = [n for n in range(num_candidates) if n != target and n not in known[query]]
            expected_ranks.append(1 + sum(row[n] >= row[target] for n in others))
            expected_scores.append(row[target])
    assert ranks.tolist() == expected_ranks
    assert scores.tolist() == expected_scores


def test_a_score_that_is_no_number_is_refused():
    documents = np.array([[1.0], [np.nan]], dtype=np.float32)
    scorer = VectorScorer(np.ones((1, 1), dtype=np.float32), documents, 2)
    with pytest.raises(ValueError, match="a score is not a number"):
        find_best(scorer, 0, 1, Ragged.of([[]]), 1)
    with pytest.raises(ValueError, match="a score is not a number"):
        find_ranks(scorer, 0, 1, Ragged.of([[]]), Ragged.of([[0]]))


SENTENCE = st.lists(st.sampled_from(["red", "green", "blue", "blue blue", "to the", "雨が降る"]), min_size=1).map(
    " ".join
)


@given(
    st.lists(SENTENCE, min_size=1, max_size=4),
    st.lists(SENTENCE, min_size=1, max_size=20, unique=True),
    st.integers(1, 21),
)
def test_blocked_bm25_equals_bm25s_over_the_whole_corpus(tmp_path_factory, queries, corpus, width):
    folder = tmp_path_factory.mktemp("bm25")
    records = [Record(query, ("a positive that is not in the corpus: red",)) for query in queries]
    collection = collect(records, folder, corpus=corpus)
    assert collection.num_candidates == len(corpus)
    scorer = Bm25Scorer(collection, folder, block_documents=width)
    reference = bm25s.BM25(k1=K1, b=B)
    words = [lexical_words(text) for text in corpus]
    if any(words):
        reference.index(words, show_progress=False)
    blocks = list(scorer.blocks(0, len(collection.queries)))
    assert [first for first, _ in blocks] == list(range(0, len(corpus), width))
    found = np.concatenate([scores for _, scores in blocks], axis=1)
    for number, text in enumerate(collection.queries.read(range(len(collection.queries)))):
        asked = lexical_words(text)
        expected = reference.get_scores(asked) if asked and any(words) else np.zeros(len(corpus))
        np.testing.assert_allclose(found[number], expected, rtol=1e-5, atol=1e-6)
        every = np.arange(len(corpus))
        assert scorer.pairs(np.full(len(corpus), number), every).tolist() == found[number].tolist()


def test_a_positive_outside_the_corpus_is_scored_but_changes_no_word_statistics(tmp_path):
    corpus = ["red car", "blue car", "green boat"]
    (tmp_path / "a").mkdir()
    alone = collect([Record("red boat", ("red car",))], tmp_path / "a", corpus=corpus)
    both = collect([Record("red boat", ("red red boat",))], tmp_path, corpus=corpus)
    before, after = Bm25Scorer(alone, tmp_path / "a"), Bm25Scorer(both, tmp_path)
    assert next(iter(before.blocks(0, 1)))[1].tolist() == next(iter(after.blocks(0, 1)))[1].tolist()
    assert after.pairs(np.array([0]), np.array([3]))[0] > after.pairs(np.array([0]), np.array([0]))[0] > 0


def test_bm25_returns_no_document_without_a_common_word(tmp_path):
    records = [Record("red", ("red car",)), Record("blue", ("blue car",)), Record("of the", ("green car",))]
    collection = collect(records, tmp_path)
    scorer = Bm25Scorer(collection, tmp_path)
    found = find_best(scorer, 0, 3, Ragged.of([[], [], []]), 3)
    assert found.documents.tolist() == [[0, -1, -1], [1, -1, -1], [-1, -1, -1]]
    ranks, scores = find_ranks(scorer, 0, 3, Ragged.of([[], [], []]), Ragged.of([[0], [0], [2]]))
    assert ranks.tolist() == [1, 3, 3]
    assert (scores > 0).tolist() == [True, False, False]


def test_ragged_rows():
    ragged = Ragged.group(np.array([2, 0, 2, 2]), np.array([5, 1, 4, 5]), 4)
    assert [ragged[row].tolist() for row in range(4)] == [[1], [], [4, 5], []]
    assert ragged.rows.tolist() == [0, 2, 2]
    assert [row.tolist() for row in map(ragged.between(1, 3).__getitem__, range(2))] == [[], [4, 5]]
    taken = ragged.take(np.array([2, 2, 1, 0]))
    assert [taken[row].tolist() for row in range(4)] == [[4, 5], [4, 5], [], [1]]
