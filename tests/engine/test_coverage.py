"""A model says what of its texts its tokenizer reads, before any is embedded."""

import pytest

from slimvec.engine.coverage import check_texts
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.text.tokenizer import Tokenizer
from tests import tiny
from tests.text.test_coverage import words_backend


@pytest.fixture
def embedder():
    """A model that knows four words."""
    model = tiny.embedding_model()
    model.tokenizer = Tokenizer(words_backend(), max_tokens=50)
    return Embedder.from_model(model)


def test_coverage_is_given_by_text(embedder):
    assert [found.share for found in embedder.coverage(["the cat", "the dog", "dog"])] == [1.0, 0.5, 0.0]


def test_texts_below_the_limit_are_refused_and_the_worst_is_named(embedder):
    with pytest.raises(InputError) as caught:
        embedder.check_coverage(["the cat", "the dog", "the red བོད"], min_coverage=0.9)
    assert str(caught.value) == (
        "text 1 ('the dog', Latin): 50.0% of its characters come back from the model's tokenizer; 2 of 3 texts are "
        "below 90.0%; expected at least 90.0% of every text; leave such texts out, or choose a model whose tokenizer "
        "reads the script"
    )


def test_texts_that_are_read_pass(embedder):
    check = embedder.check_coverage(["the cat", "the dog"], min_coverage=0.5)
    assert (check.num_texts, check.num_low, check.lowest, check.place) == (2, 0, 0.5, "text 1")


def test_the_lowest_is_found_across_blocks(embedder, monkeypatch):
    monkeypatch.setattr("slimvec.engine.coverage._TEXTS_AT_ONCE", 2)
    texts = [(f"line {number}", "the cat") for number in range(7)] + [("line 7", "dog cat")]
    check = check_texts(embedder.tokenizer, iter(texts), min_coverage=0.8)
    assert (check.num_texts, check.num_low, check.place, check.piece_share) == (8, 1, "line 7", 0.0)


def test_pieces_are_told_apart_from_losses():
    check = check_texts(Tokenizer(tiny.tokenizer_backend(), max_tokens=9), [("here", "aaa བ")], min_coverage=1.0)
    assert (check.lowest, check.num_low, check.piece_share) == (1.0, 0, 3 / 7)


def test_what_is_no_share_and_what_is_no_text_are_errors(embedder):
    with pytest.raises(InputError, match=r"min_coverage 95; expected a share from 0 to 1"):
        embedder.check_coverage(["the cat"], min_coverage=95)
    with pytest.raises(InputError, match=r"text 1 is empty; expected some text; leave it out"):
        embedder.coverage(["the cat", " "])
    with pytest.raises(InputError, match=r"no texts; expected at least one"):
        embedder.check_coverage([])
