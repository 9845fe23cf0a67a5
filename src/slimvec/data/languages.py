"""Which language a text is in: py3langid (naive Bayes over byte n-grams, 139 languages, its model in the package).

On SIB-200's 122 languages that the model knows, 8 sentences each, with confidence .5 asked for: a text cut at 40
characters is taken for another language in 2.0% of the cases (whole sentences 0.9%), and a wrong label is noticed in
95% (whole sentences 99.6%). Below 20 characters a third of the wrong labels pass. So short texts and unsure verdicts
are no evidence, and neither is a verdict about a language that the model does not know.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from slimvec.optional import require

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

Verdict = Literal["agrees", "contradicts", "abstains"]

_CONFUSED = (
    ("ar", "arz", "ary"),
    ("dz", "bo"),  # the model has seen no Tibetan and takes it for Dzongkha, in the same script
    ("hr", "bs", "sr"),
    ("id", "ms"),
    ("no", "nb", "nn"),
    ("zh", "yue", "wuu"),
)
"""Languages so close in writing that the model cannot tell them apart: each group counts as one."""
_PURPOSE = "identifying languages"
_NO_LANGUAGE = "zxx"
_MAX_CHARS = 600
"""What follows is not looked at: it takes time in proportion, and whole sentences are as good as certain already."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The language of a text.

    Attributes:
        language: Two- or three-letter code; one of a group of close languages stands for all of them.
        confidence: Probability, 0 to 1, that the text is in it (or in one of its group).
    """

    language: str
    confidence: float


def detect_language(text: str) -> Detection | None:
    """Identify the language of a text.

    Returns:
        The likeliest language; None when what is likeliest is that the text is in no language (numbers, markup).

    Raises:
        InputError: the extra `data` is not installed.
    """
    totals: dict[str, float] = {}
    for label, share in _identifier().rank(text[:_MAX_CHARS]):
        group = _group(label)
        totals[group] = totals.get(group, 0.0) + share
    language = max(totals, key=totals.__getitem__)
    return None if language == _NO_LANGUAGE else Detection(language, totals[language])


def judge_language(
    text: str, languages: tuple[str, ...], *, min_bytes: int = 40, min_confidence: float = 0.5
) -> Verdict:
    """Say whether a text is in one of some languages.

    Args:
        text: Any.
        languages: Codes as sources write them: `pt`, `pt_BR`, `por`, `zh-Hant`, `sr@latin`.
        min_bytes: Texts of fewer bytes in UTF-8 are not judged. Bytes, because that is what the model reads: 40 are 40
            Latin letters, 20 Cyrillic ones or 13 Chinese characters.
        min_confidence: A verdict below this is none.

    Returns:
        `agrees`; `contradicts`; or `abstains`, when the text is too short, the verdict unsure, no language is named,
        or one of those named is not known to the model (it then cannot say that the text is not in it).

    Raises:
        InputError: the extra `data` is not installed.
    """
    groups = [_group(language) for language in languages]
    if not groups or len(text.encode()) < min_bytes or not all(group in _known_groups() for group in groups):
        return "abstains"
    found = detect_language(text)
    if found is None or found.confidence < min_confidence:
        return "abstains"
    return "agrees" if found.language in groups else "contradicts"


def is_known(language: str) -> bool:
    """Whether the model can tell texts in a language from others.

    Raises:
        InputError: the extra `data` is not installed.
    """
    return _group(language) in _known_groups()


def standard_code(language: str) -> str:
    """Bring a language code to its shortest form, without script and region; one that is none is given back as it is.

    Raises:
        InputError: the extra `data` is not installed.
    """
    langcodes = require("langcodes", purpose=_PURPOSE)
    from langcodes.tag_parser import LanguageTagError

    try:
        tag: str = langcodes.standardize_tag(language.split("@")[0], macro=True)
    except LanguageTagError:
        return language
    return tag.split("-")[0]


@lru_cache(maxsize=4096)
def _group(language: str) -> str:
    """The code under which a language is counted: its own, or that of the first in its group."""
    code = standard_code(language)
    return next((group[0] for group in _CONFUSED if code in group), code)


@cache
def _known_groups() -> frozenset[str]:
    return frozenset(_group(label) for label in _identifier().labels) - {_NO_LANGUAGE}


@cache
def _identifier() -> "LanguageIdentifier":
    require("py3langid", purpose=_PURPOSE)
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
