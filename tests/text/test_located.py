"""Tokens with places: the same tokens as the batch path, whatever the limit, and characters that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.errors import InputError
from slimvec.text.located import locate
from slimvec.text.tokenizer import Tokenizer
from tests.tiny import bracketing_backend, tokenizer_backend

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: text.strip())
backends = st.sampled_from([tokenizer_backend(), bracketing_backend()])


@given(text=texts, prompt=st.sampled_from(["", "q: "]), backend=backends, limit=st.integers(6, 40))
def test_the_tokens_are_those_of_the_batch_path(text, prompt, backend, limit):
    plain = Tokenizer(backend, max_tokens=limit).tokenize([text], prompt=prompt)
    tokens = locate(Tokenizer(backend, max_tokens=limit), text, prompt=prompt)
    assert tokens.window(0, tokens.num_fitting) == (plain.sequences[0], plain.prefix_lengths[0])
    assert (tokens.num_fitting < tokens.num_own) == plain.truncated[0]
    whole = Tokenizer(backend, max_tokens=1000).tokenize([text], prompt=prompt)
    assert tokens.sequence == whole.sequences[0]
    assert len(tokens.spans) == len(tokens.ids)


@given(text=texts, prompt=st.sampled_from(["", "q: "]), backend=backends, limit=st.integers(6, 40))
def test_places_cover_the_text(text, prompt, backend, limit):
    tokens = locate(Tokenizer(backend, max_tokens=limit), text, prompt=prompt)
    own = tokens.spans[tokens.first :]
    covered = {place for start, end in own for place in range(start, end)}
    assert covered == set(range(len(prompt), len(prompt + text)))
    assert tokens.ends[-1] == len(text)
    assert tokens.ends == sorted(tokens.ends)
    assert [end - start for start, end in own] == [1] * len(own)  # a byte lies in one character


def test_bytes_of_a_character_share_its_place():
    tokens = locate(Tokenizer(tokenizer_backend(), max_tokens=9), "a日", prompt="é")
    assert tokens.spans == [(0, 1), (0, 1), (1, 2), (2, 3), (2, 3), (2, 3)]
    assert (tokens.first, tokens.prefix_length, tokens.ends) == (2, 2, [1, 2, 2, 2])


@pytest.mark.parametrize("backend", [tokenizer_backend(), bracketing_backend()])
def test_windows_open_with_the_prompt_and_close(backend):
    tokenizer = Tokenizer(backend, max_tokens=9)
    tokens = locate(tokenizer, "abcdef" * 3, prompt="q:")
    sequence, prefix_length = tokens.window(6, 9)
    assert (sequence, [prefix_length]) == (
        tokenizer.tokenize(["abc"], prompt="q:").sequences[0],
        tokenizer.tokenize(["abc"], prompt="q:").prefix_lengths,
    )
    bare = locate(tokenizer, "abcdef" * 3)
    assert bare.window(6, 9) == (tokenizer.tokenize(["abc"]).sequences[0], 0)


def test_what_cannot_be_embedded_is_refused():
    tokenizer = Tokenizer(tokenizer_backend(), max_tokens=4)
    with pytest.raises(InputError, match="text 0 is empty"):
        locate(tokenizer, " ")
    with pytest.raises(InputError, match="has no tokens of its own"):
        locate(tokenizer, "text", prompt="too long a prompt")
