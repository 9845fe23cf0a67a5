"""What comes back from tokens, on small tokenizers whose vocabulary is known."""

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script, main_script, script_of
from slimvec.text.tokenizer import Tokenizer
from tests import tiny

TIBETAN = "བོད་ཡིག"


def words_backend(*, normalizer=None):
    """Knows four words, and letters of none."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "the", "red", "cat", "cafe"])}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.normalizer = normalizer
    backend.add_special_tokens(["[UNK]"])
    return backend


def fallback_backend():
    """Knows the letters of `cat`, and bytes for all else, as tokenizers of the sentencepiece family do."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "c", "a", "t", "▁"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return backend


def unigram_backend():
    """Knows single letters by their scores, and names its unknown token by number alone."""
    pieces = [("<unk>", 0.0), ("c", -1.0), ("a", -1.0), ("t", -1.0), ("▁", -1.0)]
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    return backend


def measure(backend, *texts):
    return CoverageMeter(backend).measure(texts)


def test_bytes_lose_nothing_and_cut_characters_into_pieces():
    latin, tibetan = measure(tiny.tokenizer_backend(), "the cat", TIBETAN)
    assert (latin.share, latin.is_exact, latin.is_normalised) == (1.0, True, True)
    assert (latin.num_characters, latin.num_tokens, latin.num_unknown, latin.num_pieces) == (7, 7, 0, 0)
    assert (tibetan.share, tibetan.is_exact) == (1.0, True)
    assert (tibetan.num_characters, tibetan.num_tokens, tibetan.num_pieces) == (7, 21, 21)


def test_an_unknown_word_is_lost_whole_and_counted_once():
    (found,) = measure(words_backend(), "the red dog")
    assert found.share == pytest.approx(6 / 9)
    assert (found.num_tokens, found.num_unknown, found.num_pieces) == (3, 1, 0)
    assert not found.is_exact
    assert not found.is_normalised


def test_capitals_are_no_loss_and_accents_are_one():
    lower = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    capitals, accents = measure(words_backend(normalizer=lower), "The CAT", "café")
    assert (capitals.share, capitals.is_exact, capitals.is_normalised) == (1.0, False, True)
    assert (accents.share, accents.is_exact, accents.is_normalised) == (pytest.approx(4 / 5), False, True)


def test_byte_fallback_gives_pieces_of_characters_and_comes_back():
    known, unknown = measure(fallback_backend(), "cat cat", "cat བ")
    assert (known.share, known.is_exact, known.num_pieces) == (1.0, True, 0)
    assert (unknown.share, unknown.is_exact, unknown.num_tokens, unknown.num_pieces) == (1.0, True, 7, 3)
    assert unknown.is_normalised


def test_an_unknown_token_that_is_named_by_number_is_found():
    (found,) = measure(unigram_backend(), "cat x")
    assert (found.num_unknown, found.share) == (1, pytest.approx(3 / 4))


def test_what_stands_behind_a_limit_is_measured_too():
    text = "a long text " * 40
    limited = Tokenizer(tiny.tokenizer_backend(), max_tokens=10).backend
    assert measure(limited, text) == measure(tiny.tokenizer_backend(), text)


def test_special_tokens_are_not_counted():
    assert measure(tiny.bracketing_backend(), "the cat") == measure(tiny.tokenizer_backend(), "the cat")


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=4))
def test_bytes_give_back_any_text(texts):
    for text, found in zip(texts, measure(tiny.tokenizer_backend(), *texts), strict=True):
        assert (found.share, found.is_exact) == (1.0, True)
        assert found.num_tokens == len(text.encode())


@settings(max_examples=50)
@given(st.text(alphabet="cat bod བོད", min_size=1))
def test_a_share_is_one_just_where_all_letters_are_known(text):
    (found,) = measure(unigram_backend(), text)
    letters = "".join(text.split())
    lost = sum(letter not in "cat" for letter in letters)
    expected = 1 - lost / len(letters) if letters else 1.0
    assert abs(found.share - expected) < 1e-12


def test_scripts_are_those_of_unicode():
    known = {"a": "Latin", "Ж": "Cyrillic", "ཀ": "Tibetan", "漢": "Han", "か": "Hiragana", "한": "Hangul"}
    known |= {"ߒ": "Nko", "ᱚ": "Ol Chiki", "ⴰ": "Tifinagh", "ᐃ": "Canadian Aboriginal", "ꡀ": "Phags-Pa"}
    known |= {"7": None, "!": None, "\u0301": None, "\n": None, "·": None}
    assert {character: script_of(character) for character in known} == known


def test_the_main_script_is_that_of_most_characters():
    assert main_script(f"as they say: {TIBETAN * 3}") == "Tibetan"
    assert main_script("ab вг") == "Cyrillic"
    assert main_script("12, 34!") is None


def test_every_script_has_letters_and_each_stands_once():
    found = characters_by_script()
    assert {"Latin", "Tibetan", "Han", "Arabic", "Devanagari", "Ethiopic"} <= set(found)
    assert len(found) > 100
    letters = "".join(found.values())
    assert len(letters) == len(set(letters))
    assert all(script_of(characters[0]) == script for script, characters in found.items())


def test_blocks_give_the_same_as_one(monkeypatch):
    texts = [f"text {number} {TIBETAN[: number % 4]}" for number in range(7)]
    whole = measure(tiny.tokenizer_backend(), *texts)
    monkeypatch.setattr("slimvec.text.coverage._TEXTS_AT_ONCE", 3)
    assert measure(tiny.tokenizer_backend(), *texts) == whole
    assert measure(tiny.tokenizer_backend()) == []
