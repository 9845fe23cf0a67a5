"""Facts that nobody can know, each a sentence with the question it answers: needles. And hay to put them in.

Names are made of syllables, so no fact is in a model's memory; no two facts share a name, so a question has one answer.
Hay is made of other templates and other words: it shares with the questions what any English shares, and no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_STARTS = _list("b br c d dr f fl g gr h j k l m n p pl qu r s st t tr v w z")
_MIDDLES = _list("a e i o u ai au ea ia io ou")
_ENDS = _list("l n r s t k d m nd lt rn sk th")

_FACT_WORDS: Mapping[str, tuple[str, ...]] = {
    "colour": _list("amber azure beige crimson emerald grey indigo ivory orange purple scarlet silver teal violet"),
    "good": _list(
        "barley candles carpets clocks copper cotton flour glass honey lamps linen marble maps olives paper pepper "
        "pottery rope saffron salt ships silk soap sugar tea timber violins wine wool"
    ),
    "trade": _list(
        "architect baker botanist carpenter composer doctor engineer farmer gardener judge librarian painter pilot "
        "potter printer sailor surgeon tailor teacher weaver"
    ),
    "building": _list(
        "abbey aqueduct bakery barn bridge castle cinema harbour hospital library lighthouse market mill museum "
        "observatory school station theatre tower windmill"
    ),
    "number": _list("three four five six seven eight nine eleven twelve thirteen fifteen twenty thirty forty"),
}
_FACTS = (
    (
        "The {trade} {person} painted the old {building} of {town} in {colour} before the winter.",
        "Who painted the {building} of {town} in {colour}?",
    ),
    (
        "Merchants from {town} traded {good} for {number} baskets of {other} with {person}.",
        "What did merchants from {town} trade with {person} for baskets of {other}?",
    ),
    (
        "{person} became {trade} of {town} after {number} years in a {building} by the sea.",
        "Who became {trade} of {town} after years in a {building}?",
    ),
    (
        "The {building} at {town} burned down when {person} stored {good} under its roof.",
        "Why did the {building} at {town} burn down?",
    ),
    (
        "Every spring {person} sends {number} boxes of {good} to the {trade} who lives in {town}.",
        "What does {person} send to the {trade} in {town} every spring?",
    ),
    (
        "A {colour} flag flies over {town} because {person} won {number} races there.",
        "Which flag flies over {town}, and whose races is it for?",
    ),
    (
        "The {trade} of {town} taught {person} how to make {good} from {colour} sand.",
        "Who learned from the {trade} of {town} to make {good}?",
    ),
    (
        "{person} found {number} {colour} stones below the {building} of {town}.",
        "What did {person} find below the {building} of {town}?",
    ),
)
_HAY_WORDS: Mapping[str, tuple[str, ...]] = {
    "animal": _list(
        "badger beetle buzzard crane deer dolphin eel falcon fox frog hare hedgehog heron lizard lynx mole moth newt "
        "otter owl pheasant seal snail squirrel stork swan toad trout vole wolf"
    ),
    "plant": _list(
        "alder ash aspen bracken clover elm fern fir gorse heather holly ivy juniper larch lichen lupin moss nettle "
        "oak pine poplar reed rowan sedge thistle thyme willow yarrow yew"
    ),
    "weather": _list("breeze cloud drizzle fog frost gale hail haze mist rain sleet snow storm sunshine thunder wind"),
    "landscape": _list(
        "bay beach bog brook canyon cave cliff delta dune estuary field forest glacier gorge heath hill island lagoon "
        "lake marsh meadow moor plain pond ridge river shore slope swamp valley"
    ),
    "way": _list(
        "boldly calmly eagerly gently idly keenly lazily quietly rarely slowly softly steadily suddenly warily"
    ),
    "month": _list("January February March April May June July August September October November December"),
}
_HAY = (
    "Late in {month} one {animal} crossed that {landscape} {way}, hidden by {weather}.",
    "Where {plant} grows thick, an {animal} can sleep until {month} without being seen.",
    "Most visitors never notice how {way} {weather} leaves this {landscape}.",
    "It is said that {plant} and {other_plant} share water through their roots.",
    "Some {animal} had eaten all young {plant} shoots beside our {landscape}.",
    "{weather_first} can last until {month}, so hikers avoid any {landscape} nearby.",
    "Biologists counted fewer {animal} nests than last {month}, though {plant} had spread.",
    "Between {landscape} and {other_landscape} runs an empty path, lined with {plant}.",
    "If {weather} comes early, each {animal} moves {way} towards lower ground.",
    "Nothing but {plant} survived on this {landscape} after such {weather}.",
    "Children listened {way} while some {animal} called across their {landscape}.",
    "Our guide drew {plant}, {other_plant} and even an {animal} into her notebook during {month}.",
)


@dataclass(frozen=True)
class Fact:
    """A sentence and what it answers.

    Attributes:
        text: The sentence.
        question: Answered by it and by no other.
        template: Number of the template that it fills.
    """

    text: str
    question: str
    template: int


def make_facts(count: int, generator: np.random.Generator) -> list[Fact]:
    """Make facts that share no name.

    Args:
        count: How many.
        generator: Draws.
    """
    names = _names(generator)
    return [_make_fact(next(names), next(names), generator) for _ in range(count)]


def make_hay(count: int, generator: np.random.Generator) -> list[str]:
    """Make sentences that answer nothing; a few repeat among thousands.

    Args:
        count: How many.
        generator: Draws.
    """
    return [_make_straw(generator) for _ in range(count)]


def _make_fact(person: str, town: str, generator: np.random.Generator) -> Fact:
    """Fill a template."""
    words = {"person": person, "town": town} | _draw_words(_FACT_WORDS, generator)
    words["other"] = _draw([name for name in _FACT_WORDS["good"] if name != words["good"]], generator)
    template = int(generator.integers(len(_FACTS)))
    text, question = _FACTS[template]
    return Fact(text.format(**words), question.format(**words), template)


def _make_straw(generator: np.random.Generator) -> str:
    """Fill a template of hay."""
    words = _draw_words(_HAY_WORDS, generator)
    words |= {f"other_{name}": _draw(_HAY_WORDS[name], generator) for name in ("plant", "landscape")}
    words["weather_first"] = words["weather"].capitalize()
    return _draw(_HAY, generator).format(**words)


def _draw_words(lists: Mapping[str, Sequence[str]], generator: np.random.Generator) -> dict[str, str]:
    """Draw one word of each list."""
    return {name: _draw(words, generator) for name, words in lists.items()}


def _draw(words: Sequence[str], generator: np.random.Generator) -> str:
    """Draw one of some words."""
    return words[int(generator.integers(len(words)))]


def _names(generator: np.random.Generator) -> Iterator[str]:
    """Yield names of two syllables or three, none twice."""
    seen: set[str] = set()
    while True:
        num_syllables = 2 if generator.random() < 0.5 else 3
        parts = [_draw(_STARTS, generator) + _draw(_MIDDLES, generator) for _ in range(num_syllables)]
        name = "".join([*parts, _draw(_ENDS, generator)]).capitalize()
        if name not in seen:
            seen.add(name)
            yield name
