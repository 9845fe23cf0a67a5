"""The planted models are what they say: everything that is measured on them rests on it."""

import numpy as np
import pytest

from slimvec.evaluation.models import Usage
from tests.probes.planted import (
    BagOfWords,
    Collapsing,
    Decaying,
    FirstWords,
    LastWords,
    OrderSensitive,
    Random,
    ignores_prompt,
    reads_prompt,
)

TEXT, SHUFFLED = "the red cat saw the black dog", "dog the saw red black the cat"


def cosines(model, texts):
    vectors = model.embed(texts).vectors.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def test_a_bag_of_words_cannot_tell_orders_apart_by_a_single_bit():
    vectors = BagOfWords().embed([TEXT, SHUFFLED, TEXT.upper() + "!"]).vectors
    assert (vectors == vectors[0]).all()


def test_words_are_near_orthogonal():
    found = cosines(BagOfWords(), ["cat", "dog", "house", "tree"])
    assert np.abs(found - np.eye(4)).max() < 0.2


@pytest.mark.parametrize(("model", "read"), [(FirstWords(2), "the red"), (LastWords(2), "black dog")])
def test_only_the_words_of_one_end_are_read(model, read):
    assert cosines(model, [TEXT, read])[0, 1] == pytest.approx(1)


def test_weights_fall_as_planted():
    weights = Decaying(3.0).weights(300)
    assert weights[:100].sum() / weights[200:].sum() == pytest.approx(np.exp(2))
    assert Decaying(0.5, per="word").weights(3) == pytest.approx(np.exp([0, -0.5, -1]))


def test_order_is_seen_to_the_share_that_was_planted():
    assert cosines(OrderSensitive(0.4), [TEXT, SHUFFLED])[0, 1] == pytest.approx(0.6, abs=0.1)


def test_random_texts_share_what_was_planted_and_span_the_rank():
    found = cosines(Random(shared=0.7, rank=8), [f"text {n}" for n in range(60)])
    assert found[np.triu_indices(60, 1)].mean() == pytest.approx(0.7, abs=0.03)
    vectors = Random(rank=8).embed([f"text {n}" for n in range(60)]).vectors
    assert np.linalg.matrix_rank(vectors) == 8


def test_long_texts_collapse_as_planted():
    left, right = (" ".join(f"{name}{n}" for n in range(300)) for name in "ab")
    assert cosines(Collapsing(100), [left, right])[0, 1] == pytest.approx(0.75, abs=0.1)


def test_an_instruction_moves_only_the_model_that_reads_it():
    usage = Usage("probe", "Retrieval", "query")
    for model, same in ((reads_prompt(), False), (ignores_prompt(), True)):
        with_prompt = model.embed([TEXT], task=model.prompt(usage).task).vectors
        assert (with_prompt == model.embed([TEXT]).vectors).all() == same
    assert ignores_prompt().prompt(Usage("probe", "Retrieval", "query", "do it")).text == "Instruct: do it\nQuery:\n"
    assert ignores_prompt().prompt(Usage("probe", "Retrieval", "document")).text == ""


def test_tokens_are_words_and_truncation_is_counted():
    made = BagOfWords(max_tokens=3).embed(["one two three four", "one two"], role="query", task="ask ")
    assert made.tokens.tolist() == [3, 3]
    assert made.truncated.tolist() == [1, 0]
    assert made.vectors[0] == pytest.approx(made.vectors[1])


def test_identities_differ_by_options():
    assert FirstWords(2).card.identity != FirstWords(3).card.identity
    assert FirstWords(2).card.identity == FirstWords(2).card.identity
