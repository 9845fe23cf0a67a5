import pytest

from slimvec import optional
from slimvec.data.languages import detect_language, is_known, judge_language, standard_code
from slimvec.errors import InputError

ENGLISH = "The museum opens at nine and is closed on Mondays."
GERMAN = "Das Museum öffnet um neun und ist montags geschlossen."
TIBETAN = "བོད་ཀྱི་སྐད་ཡིག་ནི་བོད་པ་ཚོའི་སྐད་ཡིག་ཡིན།"  # "the language of Tibet is the Tibetans' language"


@pytest.mark.parametrize(
    ("code", "standard"),
    [("por", "pt"), ("pt_BR", "pt"), ("zsm_Latn", "ms"), ("sr@latin", "sr"), ("zh-Hant", "zh"), ("no code", "no code")],
)
def test_codes_are_brought_to_their_shortest_form(code, standard):
    assert standard_code(code) == standard


@pytest.mark.parametrize(
    ("text", "languages", "verdict"),
    [
        (ENGLISH, ("en",), "agrees"),
        (ENGLISH, ("eng_Latn",), "agrees"),
        (GERMAN, ("en",), "contradicts"),
        (GERMAN, ("en", "de"), "agrees"),
        (GERMAN, (), "abstains"),
        (GERMAN[:20], ("en",), "abstains"),
        ("1234 5678 9012 3456 7890 1234 5678 9012 3456", ("en",), "abstains"),
        (GERMAN, ("bm",), "abstains"),
        (GERMAN, ("en", "bm"), "abstains"),
        (TIBETAN, ("bo",), "agrees"),
        (TIBETAN, ("dz",), "agrees"),
        (ENGLISH, ("dz",), "contradicts"),
    ],
)
def test_verdicts_on_languages(text, languages, verdict):
    assert judge_language(text, languages) == verdict


def test_an_unsure_verdict_is_none():
    found = detect_language(GERMAN)
    assert found.language == "de"
    assert judge_language(GERMAN, ("en",), min_confidence=min(1.0, found.confidence + 1e-6)) == "abstains"


def test_only_some_languages_are_known():
    assert is_known("de")
    assert not is_known("bm")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda _: None)
    with pytest.raises(InputError) as error:
        standard_code("en")
    assert str(error.value) == (
        "identifying languages needs the package langcodes, which is not installed; "
        "install it with pip install 'slimvec[data]'"
    )
