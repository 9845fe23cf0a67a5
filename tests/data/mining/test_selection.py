import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slimvec.data.mining.collection import collect
from slimvec.data.mining.run import Candidate, choose_negatives
from slimvec.data.mining.settings import MiningSettings
from slimvec.data.records import Record


def choose(scores, positive=1.0, documents=None, taken=("query",), seed="s", **settings):
    candidates = [Candidate(rank, rank, score) for rank, score in enumerate(scores)]
    return choose_negatives(
        candidates, MiningSettings(**settings), positive_score=positive, taken=taken, documents=documents, seed=seed
    )


SCORES = st.lists(st.floats(-1, 1, width=32), max_size=12).map(lambda values: sorted(values, reverse=True))


@given(
    SCORES,
    st.floats(-1, 1, width=32),
    st.none() | st.floats(0, 0.5),
    st.none() | st.floats(0.5, 1),
    st.sampled_from(["sample", "top"]),
    st.integers(1, 5),
)
def test_no_negative_is_above_a_margin_and_none_is_kept_back(scores, positive, margin, relative, choice, wanted):
    chosen, dropped = choose(
        scores, positive, margin=margin, relative_margin=relative, choice=choice, num_negatives=wanted
    )

    def allowed(score):
        below = relative is None or score < positive - (1 - relative) * abs(positive)
        return below and (margin is None or score <= positive - margin)

    num_allowed = sum(map(allowed, scores))
    assert all(allowed(candidate.score) for candidate in chosen)
    assert len(chosen) == min(wanted, num_allowed)
    assert dropped.total() == len(scores) - num_allowed
    assert [candidate.rank for candidate in chosen] == sorted({candidate.rank for candidate in chosen})
    if choice == "top":
        assert [candidate.score for candidate in chosen] == [score for score in scores if allowed(score)][:wanted]


def test_the_margin_of_kalm_and_of_negative_scores():
    chosen, dropped = choose([0.96, 0.95, 0.949, 0.1])
    assert [candidate.score for candidate in chosen] == [0.949, 0.1]
    assert dropped == {"relative_margin": 2}
    chosen, _ = choose([-0.2, -0.21, -0.22], positive=-0.2)
    assert [candidate.score for candidate in chosen] == [-0.22]
    chosen, dropped = choose([0.9, 0.8, 0.7], margin=0.25)
    assert ([candidate.score for candidate in chosen], dropped) == ([0.7], {"margin": 2})


def test_the_choice_depends_on_the_seed_alone():
    scores = [0.5] * 50
    ranks = {seed: [c.rank for c in choose(scores, seed=seed)[0]] for seed in ("a", "b", "c")}
    assert len({tuple(own) for own in ranks.values()}) == 3
    assert [c.rank for c in choose(scores, seed="a")[0]] == ranks["a"]
    assert [c.rank for c in choose(scores, choice="top")[0]] == list(range(7))


def test_near_duplicates_are_left_out(tmp_path):
    base = "one two three four five six seven eight nine ten"
    texts = [base + " eleven", "something else altogether that nobody said", "a b c d e f g", "A B, C D E F G H"]
    documents = collect([Record("q", (*texts,))], tmp_path).documents
    chosen, dropped = choose(
        [0.4, 0.3, 0.2, 0.1], documents=documents, taken=("query", base), choice="top", near_duplicates=0.7
    )
    assert [candidate.rank for candidate in chosen] == [1, 2]
    assert dropped == {"near_duplicate": 2}
    chosen, dropped = choose([0.4, 0.3, 0.2, 0.1], choice="top")
    assert len(chosen) == 4


@pytest.mark.parametrize(
    ("settings", "num_candidates", "ranks"),
    [
        ({}, 10**6, (50, 100)),
        ({}, 1000, (50, 100)),
        ({}, 500, (25, 50)),
        ({}, 20, (7, 14)),
        ({"num_negatives": 1}, 20, (1, 2)),
        ({"num_negatives": 60}, 10**6, (60, 120)),
        ({"last_rank": 10}, 1000, (4, 10)),
        ({"last_rank": 3}, 1000, (1, 3)),
        ({"first_rank": 200}, 1000, (200, 206)),
        ({"first_rank": 1, "last_rank": 5}, 3, (1, 5)),
    ],
)
def test_ranks_suit_the_size_of_the_corpus(settings, num_candidates, ranks):
    assert MiningSettings(**settings).ranks(num_candidates) == ranks


def test_settings_that_contradict_each_other():
    with pytest.raises(ValidationError, match="first rank 5 is after last rank 4"):
        MiningSettings(first_rank=5, last_rank=4)
