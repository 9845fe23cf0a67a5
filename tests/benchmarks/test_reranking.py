"""Judges beside each other: what a benchmark of few made-up candidates finds."""

import pytest

from benchmarks.reranking import Candidates, ScoredSet, _overlap, _rows


@pytest.mark.parametrize(("document", "share"), [("copies files", 0.5), ("nothing of it", 0.0), ("", 0.0)])
def test_overlap_is_the_share_of_a_querys_words(document, share):
    assert _overlap("copies nowhere", document) == share


def test_a_judge_that_is_right_about_few_words_is_ahead_there():
    def candidates(overlap, dense, likelihood):
        scores = {"dense": dense, "bm25": dense, "likelihood": likelihood, "generation": dense}
        return Candidates(documents=("a", "b"), grades=(1, 0), relevant=(1,), scores=scores, overlap=overlap)

    right, wrong = (1.0, 0.0), (0.0, 1.0)
    queries = tuple(candidates(overlap, wrong if overlap < 0.5 else right, right) for overlap in (0.1, 0.9, 0.2, 0.8))
    sets = [ScoredSet(name=name, num_documents=2, num_truncated=0, queries=queries) for name in ("first", "second")]
    rows = {row.name: row for row in _rows(sets)}
    assert rows["fewest-words/likelihood"].over_dense[0] == pytest.approx(0.369, abs=1e-3)  # 1 - 1 / log2(3)
    assert rows["most-words/likelihood"].over_dense == (0, 0, 0)
    assert rows["all/likelihood"].over_dense[0] == pytest.approx(0.1845, abs=1e-3)
    assert rows["all/dense"].ndcg[0] == pytest.approx(1 - 0.369 / 2, abs=1e-3)
