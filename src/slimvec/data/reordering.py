"""A text with its words in another order, or denied: a negative that only a model which sees order tells from the text.

Rules, not grammar: no tagger is asked, so that any language that puts spaces between words can be reordered, and a
result may be as wrong a sentence as the statement it makes. That is what a negative may be. Denying needs rules of a
language, and there are some for English. Every sentence of a text is changed once, by a kind of change that it bears.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from slimvec.data.reordering_kinds import Reordering
from slimvec.data.text_ids import text_id
from slimvec.ranking.words import is_character, split_tokens
from slimvec.text.sentences import sentence_spans

MIN_WORDS = 4
"""Shorter sentences are left alone: in three words an exchange often says the same."""
HEAD = 40
"""A text is changed within its first so many words: behind a batch's limit it is truncated, and two would be one."""
_TRIES = 50


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PARTS = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)  # marks, the word, marks
_NUMBER = re.compile(r"\d[\d.,:]*")
_JOINTS = _set_of("before after because unless until bevor nachdem weil car porque")
"""Between two clauses that say something else the other way about."""
_COORDINATORS = _set_of("and or und oder et ou y e o u")
"""Between what may change places without a change of meaning."""
_OPENERS = _set_of(
    "a an the this that these those he she it they we you his her its their our my in on at by for from to of with "
    "as if when while after before because since there here one some all no and but so or not what who how "
    "der die das ein eine er sie es wir ich in im am auf mit von zu wenn als und aber nach vor bei für "
    "le la les un une des il elle ils nous vous ce cette dans en sur avec pour par si et mais "
    "el la los las un una él ella se en con por para de del al si y pero"
)
"""Words that have a capital at the beginning of a sentence only."""
_DENIALS = _set_of("no not never none nothing without nicht kein keine nie ohne ne pas jamais sans nunca sin")
_AUXILIARIES = _set_of("is are was were can could will would shall should must may might does did do am")
_ENGLISH = _set_of("the a of to and in is are was it that for")

Words = list[str]


def reorder(
    text: str, kinds: Sequence[Reordering], generator: np.random.Generator, *, language: str | None = None
) -> str | None:
    """Change the order of a text's words, or what it says, sentence by sentence.

    Args:
        text: A sentence or a document.
        kinds: Changes to choose from; each sentence gets the first of them, in an order drawn for it, that it bears.
        generator: Draws.
        language: Language of the text, for `negation`; None has the text's own words tell whether it is English.

    Returns:
        The changed text; None when nothing could be changed within the first `HEAD` words.
    """
    result, end, num_before, changed_early = "", 0, 0, False
    for start, stop in sentence_spans(text):
        sentence = text[start:stop]
        new = _reorder_sentence(sentence, kinds, generator, language)
        changed_early |= new is not None and num_before + _first_difference(sentence, new) < HEAD
        result += text[end:start] + (sentence if new is None else new)
        end, num_before = stop, num_before + len(sentence.split())
    result += text[end:]
    return result if changed_early and text_id(result) != text_id(text) else None


def shorten(text: str, generator: np.random.Generator, *, share: float = 0.25) -> str | None:
    """Leave words out of a sentence, in place, so that order is what is left of it.

    Numbers, joining words and what denies stay: without them it could be another statement.

    Args:
        text: A sentence.
        generator: Draws.
        share: Share of the words, at least one.

    Returns:
        The shorter sentence; None when it has fewer than two words beside `MIN_WORDS`, or none that may go.
    """
    words = text.split()
    free = [place for place, word in enumerate(words) if _may_go(_core(word))]
    count = min(len(free), max(1, round(share * len(words))), len(words) - MIN_WORDS)
    if len(words) < MIN_WORDS + 2 or count < 1:
        return None
    gone = set(generator.choice(np.array(free), size=count, replace=False).tolist())
    kept = [word for place, word in enumerate(words) if place not in gone]
    if 0 in gone and words[0][:1].isupper():
        kept[0] = _capital(kept[0])
    if len(words) - 1 in gone:
        kept[-1] = kept[-1].rstrip(",;:") + _parts(words[-1])[2]
    return " ".join(kept)


def _reorder_sentence(
    sentence: str, kinds: Sequence[Reordering], generator: np.random.Generator, language: str | None
) -> str | None:
    """Change a sentence in the first way that it bears; None when it bears none."""
    words = sentence.split()
    order = generator.permutation(len(kinds)).tolist()
    if len(words) < MIN_WORDS or not is_spaced(sentence):
        return None
    for place in order:
        kind = kinds[place]
        if kind == "negation" and not _is_english(sentence, language):
            continue
        found = _CHANGES[kind](words, generator)
        if found is not None and text_id(" ".join(found)) != text_id(sentence):
            return " ".join(found)
    return None


def _neighbours(words: Words, generator: np.random.Generator) -> Words | None:
    """Exchange two neighbouring words."""

    def draw() -> tuple[int, int]:
        place = int(generator.integers(len(words) - 1))
        return place, place + 1

    return _exchange(words, draw)


def _content(words: Words, generator: np.random.Generator) -> Words | None:
    """Exchange two words of four letters or more; two names, where there are two."""
    cores = [_core(word) for word in words]
    long = [place for place, core in enumerate(cores) if len(core) >= 4 and core.isalpha()]
    names = [place for place in long if cores[place][0].isupper() and cores[place].casefold() not in _OPENERS]
    return _exchange_two(words, names if len(names) > 1 else long, generator)


def _numbers(words: Words, generator: np.random.Generator) -> Words | None:
    """Exchange two different numbers."""
    places = [place for place, word in enumerate(words) if _NUMBER.fullmatch(_core(word))]
    return _exchange_two(words, places, generator)


def _clauses(words: Words, generator: np.random.Generator) -> Words | None:
    """Exchange the clauses on the two sides of a joining word; the marks between and behind them stay."""
    joints = [p for p in range(1, len(words) - 1) if _joins(words, p)]
    if not joints:
        return None
    joint = joints[int(generator.integers(len(joints)))]
    left, right = words[:joint], words[joint + 1 :]
    (*left_parts, comma), (*right_parts, stop) = _parts(left[-1]), _parts(right[-1])
    new_left = [*right[:-1], "".join([*right_parts, comma])]
    new_right = [*left[:-1], "".join([*left_parts, stop])]
    if words[0][:1].isupper():
        new_left[0] = _capital(new_left[0])
        new_right[0] = _without_capital(new_right[0])
    return [*new_left, words[joint], *new_right]


def _joins(words: Words, place: int) -> bool:
    """Whether a word stands between two clauses; `car` does behind a comma, else it is an English noun."""
    core = _core(words[place]).casefold()
    return core in _JOINTS and (core != "car" or words[place - 1].endswith(","))


def _shuffle(words: Words, generator: np.random.Generator) -> Words | None:
    """Shuffle all words; marks stay in their places."""
    return move_words(words, generator.permutation(len(words)).tolist())


def _negation(words: Words, generator: np.random.Generator) -> Words | None:
    """Put `not` behind the first auxiliary, or take it away."""
    del generator  # there is one way
    cores = [_core(word).casefold() for word in words]
    if "not" in cores:
        place = cores.index("not")
        return [*words[:place], *words[place + 1 :]] if place and words[place] == "not" else None
    place = next((p for p, core in enumerate(cores[:-1]) if core in _AUXILIARIES and p > 0), -1)
    if place < 0 or words[place] != _core(words[place]):
        return None
    return [*words[: place + 1], "not", *words[place + 1 :]]


_CHANGES: dict[Reordering, Callable[[Words, np.random.Generator], Words | None]] = {
    "neighbours": _neighbours,
    "words": _content,
    "numbers": _numbers,
    "clauses": _clauses,
    "shuffle": _shuffle,
    "negation": _negation,
}


def _exchange_two(words: Words, places: Sequence[int], generator: np.random.Generator) -> Words | None:
    """Exchange the words of two of some places."""
    if len(places) < 2:
        return None

    def draw() -> tuple[int, int]:
        first, second = sorted(generator.choice(len(places), size=2, replace=False).tolist())
        return places[first], places[second]

    return _exchange(words, draw)


def _exchange(words: Words, draw: Callable[[], tuple[int, int]]) -> Words | None:
    """Exchange the words of the first pair of places drawn that are two words and no members of one list.

    None after so many pairs, which is most unlikely where there is a pair to be found.
    """
    for _ in range(_TRIES):
        first, second = draw()
        one, two = _core(words[first]).casefold(), _core(words[second]).casefold()
        if one and two and one != two and not _is_list(words[first : second + 1]):
            order = list(range(len(words)))
            order[first], order[second] = second, first
            return move_words(words, order)
    return None


def _is_list(words: Words) -> bool:
    """Whether the first and the last word are members of one list: between its members stand commas or an `and`."""
    inner = [word for word in words[1:-1] if _core(word).casefold() not in _OPENERS - _COORDINATORS]
    row = [words[0], *inner, words[-1]]
    joins = [_core(word).casefold() in _COORDINATORS for word in row]
    return all(row[p].endswith(",") or joins[p] or joins[p + 1] for p in range(len(row) - 1))


def move_words(words: Words, order: Sequence[int]) -> Words:
    """Put the word of place `order[p]` in place p. Marks, and the capital of the first place, stay where they are."""
    parts = [_parts(word) for word in words]
    cores = [core for _, core, _ in parts]
    if cores[0][:1].isupper() and order[0] != 0:
        cores[0] = _without_capital(cores[0])
        cores[order[0]] = _capital(cores[order[0]])
    return [front + cores[place] + back for (front, _, back), place in zip(parts, order, strict=True)]


def _parts(word: str) -> tuple[str, str, str]:
    """Part a word from the marks in front of it and behind it."""
    found = _PARTS.fullmatch(word)
    assert found is not None  # it takes any string
    return found[1], found[2], found[3]


def _core(word: str) -> str:
    """A word without the marks around it."""
    return _parts(word)[1]


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _without_capital(word: str) -> str:
    """A word as it is written within a sentence, as far as that is known."""
    return word[:1].lower() + word[1:] if _core(word).casefold() in _OPENERS else word


def _may_go(core: str) -> bool:
    known = core.casefold()
    denies = known in _DENIALS or known.endswith("n't")
    return bool(core) and not denies and not _NUMBER.fullmatch(core) and known not in _JOINTS


def is_spaced(sentence: str) -> bool:
    """Whether words stand apart: not so in scripts whose characters are tokens of their own."""
    tokens = split_tokens(sentence)
    return sum(map(is_character, tokens)) * 2 <= len(tokens)


def _is_english(sentence: str, language: str | None) -> bool:
    if language is not None:
        return language.casefold().split("-")[0].split("_")[0] in ("en", "eng")
    return len(_ENGLISH & set(split_tokens(sentence))) >= 2


def _first_difference(old: str, new: str) -> int:
    """Number of the first word that differs."""
    pairs = zip(old.split(), new.split(), strict=False)
    return next((number for number, (before, after) in enumerate(pairs) if before != after), len(old.split()))
