"""Words of every script of SIB-200, by Unicode's properties: no word is cut at a mark, no clause is one word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.ranking.bm25 import lexical_words, rank_lexically
from slimvec.ranking.words import is_blank, is_character, normal_form, split_terms, split_tokens, word_spans

SPACED = {
    "Latin": "việt nam đẹp lắm",
    "Cyrillic": "мой дом стоит здесь",
    "Greek": "το σπίτι είναι μεγάλο",
    "Armenian": "իմ տունը մեծ է",
    "Georgian": "ჩემი სახლი დიდია აქ",
    "Arabic": "بيتي كبير وجميل جدا",
    "Hebrew": "הבית שלי גדול מאוד",
    "Devanagari": "हिन्दी में किताबें हैं",
    "Bengali": "আমার বাড়ি খুব সুন্দর",
    "Gurmukhi": "ਮੇਰਾ ਘਰ ਵੱਡਾ ਹੈ",
    "Gujarati": "મારું ઘર મોટું છે",
    "Oriya": "ମୋର ଘର ବଡ଼ ଅଟେ",
    "Tamil": "என் வீடு பெரியது இங்கே",
    "Telugu": "నా ఇల్లు చాలా పెద్దది",
    "Kannada": "ನನ್ನ ಮನೆ ದೊಡ್ಡದು ಇದೆ",
    "Malayalam": "എന്റെ വീട് വലുതാണ് ഇവിടെ",
    "Sinhala": "මගේ නිවස ශ්‍රී ලංකාවේ",
    "Ethiopic": "ቤቴ ትልቅ ነው እዚህ",
    "Ol Chiki": "ᱤᱧᱟᱜ ᱚᱲᱟᱜ ᱢᱟᱨᱟᱝ ᱜᱮᱭᱟ",
    "Tifinagh": "ⵜⴰⴷⴷⴰⵔⵜ ⵉⵏⵓ ⵜⵎⵇⵇⵔ ⴷⴰ",
    "Hangul": "우리 집은 아주 큽니다",
}
UNSPACED = {
    "Thai": ("ภาษาไทยสวย", 10, "ภาษาไทย"),
    "Lao": ("ພາສາລາວງາມ", 10, "ພາສາລາວ"),
    "Khmer": ("ភាសាខ្មែរ", 5, "ភាសា"),
    "Burmese": ("မြန်မာဘာသာ", 5, "မြန်မာ"),
    "Tibetan": ("བོད་སྐད་ཡིག", 6, "སྐད"),
    "Chinese": ("我的房子很大", 6, "房子"),
    "Japanese": ("東京タワーです", 7, "タワー"),
}


@pytest.mark.parametrize("script", SPACED)
def test_words_of_scripts_with_spaces_are_what_stands_between_spaces(script):
    sentence = SPACED[script]
    words = sentence.replace("\u200d", "").split()
    assert split_tokens(sentence) == split_terms(sentence) == words
    assert [sentence[start:end] for start, end in word_spans(sentence)] == sentence.split()
    assert not any(map(is_character, words))


@pytest.mark.parametrize("script", UNSPACED)
def test_characters_of_scripts_without_spaces_stand_alone_with_their_marks(script):
    sentence, num_characters, part = UNSPACED[script]
    tokens = split_tokens(sentence)
    assert len(tokens) == num_characters
    assert all(map(is_character, tokens))
    assert "".join(tokens) == sentence.replace("་", "")
    shown = [sentence[start:end] for start, end in word_spans(sentence)]
    assert [word for word in shown if word != "་"] == tokens
    # Pairs overlap within a run: a part of the sentence shares all of its terms with it.
    assert set(split_terms(part)) <= set(split_terms(sentence))
    assert all(len(split_tokens(term)) <= 2 for term in split_terms(sentence))


@pytest.mark.parametrize("sentence", [*SPACED.values(), *(found[0] for found in UNSPACED.values())])
def test_bm25_finds_a_sentence_of_any_script_by_a_part_of_it(sentence):
    documents = [*SPACED.values(), *(found[0] for found in UNSPACED.values())]
    ids = [f"{number:02}" for number in range(len(documents))]
    part = sentence.split()[0] if " " in sentence else sentence[: len(sentence) // 2]
    assert rank_lexically([part], documents, ids).ids(0)[0] == ids[documents.index(sentence)]


@given(st.text(alphabet="abक्षิ漢བ་' _.\u200d\u200cאָ", max_size=20))
def test_no_form_loses_a_letter(text):
    letters = [character for character in text if character.isalpha()]
    for form in ("".join(text[start:end] for start, end in word_spans(text)), "".join(split_tokens(text))):
        assert [character for character in form if character.isalpha()] == letters
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())


def test_joiners_belong_to_syllables_and_part_persian_words():
    assert split_tokens("ශ්‍රී") == split_tokens("ශ්රී")
    assert split_tokens("کتاب\u200cها") == split_tokens("کتاب ها")


def test_vowel_points_make_no_other_word():
    assert split_tokens("مُحَمَّد") == split_tokens("محمد")
    assert split_tokens("עִבְרִית") == split_tokens("עברית")
    assert split_tokens("\u0640") == []


def test_shown_words_keep_apostrophes_and_names_and_gather_signs():
    text = "Don't call read_file(x)... 'now'"
    words = ["Don't", "call", "read_file", "(", "x", ")...", "'", "now", "'"]
    assert [text[start:end] for start, end in word_spans(text)] == words


def test_terms_of_scripts_without_spaces_are_pairs_of_characters():
    assert lexical_words("The Cat's 猫在垫子 x ไทย a1") == ["cat", "猫在", "在垫", "垫子", "ไท", "ทย", "a1"]
    assert lexical_words("猫") == ["猫"]


def test_identifiers_are_split_when_asked():
    assert lexical_words("read_the_file") == ["read_the_file"]
    assert lexical_words("read_the_file", split_identifiers=True) == ["read_the_file", "read", "file"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't STOP, x2!", ["don", "t", "stop", "x2"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("abc漢字x", ["abc", "漢", "字", "x"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("བཀྲ་ཤིས", ["བ", "ཀྲ", "ཤི", "ས"]),
        ("\uff12\uff14 \ufb01ne", ["24", "fine"]),
        ("?! …", []),
    ],
)
def test_tokens_of_scripts_with_and_without_spaces(text, tokens):
    assert split_tokens(text) == tokens


def test_a_character_token_is_told_from_a_word():
    assert [is_character(token) for token in ("漢", "ཀྲ", "word", "नमस्ते")] == [True, True, False, False]


def test_the_normal_form_undoes_space_capitals_and_composition():
    assert normal_form("  A\n Cafe\u0301 ") == normal_form("a café")
    assert normal_form("a+b") != normal_form("a-b")


def test_blank_texts_have_only_punctuation_and_invisible_signs():
    assert is_blank("\u200b … !")
    assert not is_blank("€")


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_split_by_its_table_as_by_the_pattern(text):
    accented = f"{text}.é"  # what is not all ASCII goes by the pattern
    assert split_tokens(text) == split_tokens(accented)[:-1]
    assert split_terms(text) == split_terms(accented)[:-1]
