"""The one word splitter: words and characters of all scripts, for BM25, cleaning, probes and explanations alike.

In scripts that do not mark words with spaces every character (with its combining marks) is a token of its own; in all
others a token is an unbroken run of letters, marks and digits. Punctuation and symbols are not tokens. The joiners that
shape a syllable of Sinhala, Bengali or Malayalam (U+200C and U+200D behind a mark) belong to the word; the one between
two parts of a Persian word (behind a letter) separates, as a space there would. Joiners and the vowel points of Arabic
and Hebrew are then left out, as writers of the same word set or omit them.
"""

import unicodedata
from functools import lru_cache
from itertools import pairwise

import regex

# Thai, Lao, Khmer, Myanmar and the Tai scripts put spaces between phrases, Tibetan between sentences (its syllables end
# in a dot). Python's \w is of no use here: it breaks words at every combining mark.
UNSPACED_SCRIPTS = (
    "Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Tai_Le",
    "New_Tai_Lue", "Tai_Tham", "Tai_Viet",
)  # fmt: skip
"""Scripts that put no space between words, by Unicode's names."""
_UNSPACED = "".join(rf"\p{{Script={script}}}" for script in UNSPACED_SCRIPTS) + r"\u30fc"  # lengthens vowels of kana
_JOINER = r"(?<=\p{M})[\u200c\u200d]"
_CHARACTER = rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]](?:\p{{M}}|{_JOINER})*"
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]"
_APOSTROPHE = r"(?<=[\p{L}\p{M}])['\u2019](?=\p{L})"

_TOKEN = regex.compile(rf"{_CHARACTER}|(?:{_LETTER}|{_JOINER})+", regex.V1)
_RUN = regex.compile(rf"(?P<characters>(?:{_CHARACTER})+)|(?:{_LETTER}|{_JOINER}|_)+", regex.V1)
_SHOWN = regex.compile(
    rf"{_CHARACTER}|(?:{_LETTER}|{_JOINER}|_|{_APOSTROPHE})+|(?:[^\s\p{{L}}\p{{M}}\p{{N}}_]\p{{M}}*)+|\S", regex.V1
)
_FIRST_CHARACTER = regex.compile(_CHARACTER, regex.V1)
_SIGN = regex.compile(r"[\p{L}\p{M}\p{N}\p{S}]")
_JOINERS = (0x200C, 0x200D)
_HEBREW_POINTS = (*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7)
_ARABIC_POINTS = (0x0640, *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06DD))  # the first stretches a word
_OPTIONAL = dict.fromkeys((*_JOINERS, *_HEBREW_POINTS, *_ARABIC_POINTS))
# Of ASCII alone, which most English is, the same by a table: the pattern takes five times as long.
_ASCII_TOKENS = {number: chr(number).lower() if chr(number).isalnum() else " " for number in range(128)}
_ASCII_TERMS = _ASCII_TOKENS | {ord("_"): "_"}


def split_tokens(text: str) -> list[str]:
    """Split a text into its tokens, with compatibility forms (full-width letters, ligatures) and capitals undone."""
    if text.isascii():
        return text.translate(_ASCII_TOKENS).split()
    return _without_optional(_TOKEN.findall(_folded(text)))


def split_terms(text: str) -> list[str]:
    """Split a text into terms to search by.

    As `split_tokens`, but names with underscores are whole, and runs of a script without spaces are overlapping pairs
    of characters, as Lucene's CJK analyser has it: single characters say too little, and where words end is not known.
    """
    if text.isascii():
        return text.translate(_ASCII_TERMS).split()
    terms: list[str] = []
    for run in _RUN.finditer(_folded(text)):
        if run["characters"] is None:
            terms.append(run[0])
            continue
        characters = _TOKEN.findall(run[0])
        terms += map("".join, pairwise(characters)) if len(characters) > 1 else characters
    return _without_optional(terms)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Give the words of a text for showing: what a reader takes as one piece.

    Runs of letters, marks and digits with inner apostrophes and underscores; single characters of scripts without
    spaces; runs of everything else.

    Returns:
        Places (start, end) in characters, without white space.
    """
    return [match.span() for match in _SHOWN.finditer(text)]


@lru_cache(maxsize=1 << 16)
def is_character(token: str) -> bool:
    """Whether a token is one character of a script without spaces, rather than a word."""
    return _FIRST_CHARACTER.match(token) is not None


def normal_form(text: str) -> str:
    """Undo what two copies of a text may differ in: white space, capitals, and the ways to compose accents."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def is_blank(text: str) -> bool:
    """Whether a text says nothing: it has no letter, digit or symbol, only marks of punctuation or invisible signs."""
    return _SIGN.search(text) is None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _without_optional(tokens: list[str]) -> list[str]:
    """Leave out what writers of the same word set or omit, and tokens of nothing else."""
    plain = (token if token.isascii() else token.translate(_OPTIONAL) for token in tokens)
    return [token for token in plain if token]
