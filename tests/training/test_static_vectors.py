"""Vectors of tokens fitted to a teacher's vectors of texts, without any layer."""

import numpy as np
import torch

from slimvec.training.step.static_vectors import MIN_TEXTS, fit_token_vectors

VOCABULARY, NUMBERS, DIMS = 60, 8, 12


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def texts(count, seed=0):
    dice = np.random.default_rng(seed)
    return [dice.integers(0, VOCABULARY - 5, size=int(dice.integers(3, 9))).tolist() for _ in range(count)]


def planted(sequences):
    """A teacher whose vector of a text is the mean of hidden vectors of its tokens, led to another width."""
    hidden = drawn(VOCABULARY, NUMBERS, seed=1)
    rows = torch.stack([hidden[sequence].mean(0) for sequence in sequences]) @ drawn(NUMBERS, DIMS, seed=2)
    return hidden, lambda chosen: rows[torch.from_numpy(chosen)]


def fit(begin, sequences, targets, seed=3):
    shares = []
    found, cosine = fit_token_vectors(begin, sequences, targets, seed=seed, on_share=shares.append)
    return found, cosine, shares


def test_what_a_bag_of_tokens_can_say_is_found():
    sequences = texts(4000)
    hidden, targets = planted(sequences)
    near = hidden + 0.7 * drawn(VOCABULARY, NUMBERS, seed=4)
    begun = fit(near, sequences[:60], lambda chosen: targets(chosen))[1]
    found, cosine, shares = fit(near, sequences, targets)
    assert begun < 0.95 < cosine
    assert found.shape == near.shape
    assert shares[-1] == 1


def test_the_cosine_is_of_texts_that_were_left_out():
    sequences = texts(900)
    noise = drawn(900, DIMS, seed=9)
    cosine = fit(drawn(VOCABULARY, NUMBERS, seed=4), sequences, lambda chosen: noise[torch.from_numpy(chosen)])[1]
    assert abs(cosine) < 0.15  # there is nothing to be learnt, only to be learnt by heart


def test_tokens_of_no_text_keep_their_vectors_but_for_the_scale():
    sequences = texts(300)
    begin = drawn(VOCABULARY, NUMBERS, seed=4)
    found = fit(begin, sequences, planted(sequences)[1])[0]
    torch.testing.assert_close(found[-5:], begin[-5:] / begin.std())
    assert not torch.allclose(found[:-5], begin[:-5] / begin.std(), atol=1e-2)


def test_the_same_seed_gives_the_same_vectors():
    sequences = texts(300)
    begin, targets = drawn(VOCABULARY, NUMBERS, seed=4), planted(sequences)[1]
    first, again, other = (fit(begin, sequences, targets, seed=seed)[0] for seed in (3, 3, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_of_few_texts_nothing_is_learnt():
    sequences = texts(MIN_TEXTS)
    begin, targets = drawn(VOCABULARY, NUMBERS, seed=4), planted(sequences)[1]
    found, cosine, _ = fit(begin, sequences[:-1], targets)
    assert found is begin
    assert cosine is None
    found, cosine, _ = fit(begin, sequences, targets)
    assert torch.isfinite(found).all()
    assert cosine is not None
