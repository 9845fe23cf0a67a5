from benchmarks.before_after import Recording, compare

BEFORE = Recording(
    commit="a",
    vectors={"m, query": [[1.0, 0.0], [0.6, 0.8]]},
    losses={"lora": [0.5, 0.25], "full": [0.5]},
    scores={"m, set": 0.12344},
)


def test_equal_recordings_differ_in_nothing():
    assert compare(BEFORE, BEFORE.model_copy(update={"commit": "b", "scores": {"m, set": 0.12336}})) == []


def test_what_differs_is_named_with_its_size():
    after = Recording(
        commit="b",
        vectors={"m, query": [[1.0, 0.0], [0.8, 0.6]]},
        losses={"lora": [0.5, 0.25000000000000006]},
        scores={"m, set": 0.1236},
    )
    assert compare(BEFORE, after) == [
        "vectors, m, query: lowest cosine 0.960000000, largest difference 0.2",
        "losses, full: only in one recording",
        "losses, lora: from step 2: 0.25 and 0.25000000000000006",
        "scores, m, set: 0.1234 and 0.1236",
    ]
