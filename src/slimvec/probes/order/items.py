"""What the word order probe asks with: a sentence, a paraphrase of it, and its words in another order."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from slimvec.data.reordering import is_spaced, move_words
from slimvec.data.templates import KINDS, Templates
from slimvec.data.text_ids import text_id

LANGUAGES = ("en", "de", "fr", "es")
MIN_WORDS = 6
"""Shorter sentences have too few orders: a shuffle of three words is often still a sentence."""
_TRIES = 20


def _permutation(num_words: int, dice: random.Random) -> list[int]:
    return dice.sample(range(num_words), num_words)


def _neighbours(num_words: int, dice: random.Random) -> list[int]:
    """Exchange the words in pairs of neighbours, beginning at the first or the second word."""
    order = list(range(num_words))
    for place in range(dice.randrange(2), num_words - 1, 2):
        order[place], order[place + 1] = order[place + 1], order[place]
    return order


SHUFFLES = {"full shuffle": _permutation, "local swaps": _neighbours}
"""All words at random; or each word in the place of a neighbour."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question to a model: is the paraphrase nearer to the anchor than the negative is?

    Attributes:
        group: Where it is from: `templates`, or the name of an outside set.
        kind: What tells the negative from the anchor.
        language: Code.
        cluster: Items that share it are much alike: those of one template, or of one anchor.
        anchor: A sentence.
        paraphrase: The same, said otherwise.
        negative: Another statement of the same or nearly the same words.
    """

    group: str
    kind: str
    language: str
    cluster: str
    anchor: str
    paraphrase: str
    negative: str

    @property
    def texts(self) -> tuple[str, str, str]:
        """Anchor, paraphrase, negative."""
        return self.anchor, self.paraphrase, self.negative


@cache
def read_templates(language: str) -> Templates:
    """Give the probe's templates of a language.

    Raises:
        InputError: there are none.
    """
    return Templates.read(__package__, language, known=LANGUAGES)


def template_items(language: str, count: int, *, seed: int) -> list[Item]:
    """Fill the templates of a language: at least `count` items of each kind, evenly from its templates."""
    templates = read_templates(language)
    found = []
    for kind in KINDS:
        names = [name for name, (own, _) in templates.named().items() if own == kind]
        drawn = [made for name in names for made in templates.draw(name, -(-count // len(names)), seed=seed)]
        found += [Item("templates", kind, language, t.template, t.anchor, t.paraphrase, t.negative) for t in drawn]
    return found


def shuffled_items(items: Sequence[Item], count: int, *, seed: int) -> list[Item]:
    """Put a shuffle and swaps of the anchor in the place of the negative, for some of the items that bear it.

    Args:
        items: Their anchors and paraphrases are taken; of alike anchors the first one.
        count: Items of each kind of shuffle, at most.
        seed: Random seed for choice and order.
    """
    bearing = {text_id(item.anchor): item for item in items if bears_shuffling(item.anchor)}
    dice = random.Random(f"{seed}/shuffles")
    chosen = dice.sample(sorted(bearing), min(count, len(bearing)))
    found = []
    for item in (bearing[number] for number in chosen):
        for kind, text in shuffles(item.anchor, seed=seed).items():
            found.append(Item(item.group, kind, item.language, item.cluster, item.anchor, item.paraphrase, text))
    return found


def plain_items(group: str, sentences: Sequence[tuple[str, str]], *, seed: int) -> list[Item]:
    """Shuffle sentences that have no paraphrase: in its place stands another sentence of about the same length.

    Args:
        group: Group of the items.
        sentences: Languages and sentences, at least two of each language.
        seed: Random seed for the orders.
    """
    found = []
    for language, text in sentences:
        others = [other for own, other in sentences if own == language and text_id(other) != text_id(text)]
        if not others:
            continue
        unrelated = min(others, key=lambda other: abs(len(other.split()) - len(text.split())))
        for kind, shuffled in shuffles(text, seed=seed).items():
            found.append(Item(group, kind, language, text, text, unrelated, shuffled))
    return found


def bears_shuffling(text: str) -> bool:
    """Whether a text has enough words, and spaces between them."""
    return len(text.split()) >= MIN_WORDS and is_spaced(text)


def shuffles(text: str, *, seed: int) -> dict[str, str]:
    """Give a text in each order of `SHUFFLES`; one whose words are all alike has none.

    Marks, and the capital of the first word, stay in their places.
    """
    dice = random.Random(f"{seed}/{text}")
    made = {}
    for kind, order_of in SHUFFLES.items():
        words = text.split()
        tries = (" ".join(move_words(words, order_of(len(words), dice))) for _ in range(_TRIES))
        different = next((other for other in tries if text_id(other) != text_id(text)), None)
        if different is not None:
            made[kind] = different
    return made


def distinct_texts(items: Iterable[Item]) -> list[str]:
    """Give all texts of items, each once, in the order in which they come."""
    return list(dict.fromkeys(text for item in items for text in item.texts))
