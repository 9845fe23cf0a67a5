"""Outside sets as items of the word order probe, as far as their folders are at hand.

stsb_multi   pairs that mean the same (a grade of 4.5 of 5 or more), in languages that put spaces between words; the
             negative is the first sentence shuffled (arXiv 1708.00055; translations by P. May)
sick         sentences with a paraphrase (entailment, 4.5 or more) and a rewording of the same words that says something
             else, or one that contradicts it (Marelli et al., LREC 2014)
sugarcrepe   captions whose objects or attributes were exchanged, against another caption of the same picture
             (arXiv 2306.14610)
pawsx        pairs of many common words, half of which mean the same (arXiv 1908.11828)
sib200       sentences without a paraphrase, to be shuffled (arXiv 2309.07445)

Exchanges that change nothing beside exchanges that change everything: "A met B" and "A hired B".

Triplet accuracy is passed by a model that pushes every exchange of words away, whatever it means. Here that helps
nobody: each sentence is compared with the same sentence after its two names have changed places, and the cosine should
be higher where the verb is symmetric. A bag of words, and a model that treats all exchanges alike, have an AUC of one
half.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from pydantic import Field

from slimvec.data.text_ids import text_id
from slimvec.frozen import Frozen
from slimvec.probes.documents import read_set
from slimvec.probes.order.bags import bag_cosines
from slimvec.probes.order.findings import SYMMETRIC
from slimvec.probes.order.items import Item, bears_shuffling, shuffled_items
from slimvec.probes.protocol import ProbeConfig
from slimvec.ranking.words import split_tokens
from slimvec.yaml_files import read_own_yaml

SAME = 4.5
"""Grade, of 0 to 5, from which on two sentences count as saying the same."""
ALIKE = 0.8
"""Cosine of the word counts from which on a contradiction is one of few words, such as a `no`."""
PLAIN = ("eng_Latn", "deu_Latn", "fra_Latn", "rus_Cyrl", "tur_Latn", "fin_Latn", "arb_Arab", "hin_Deva")
"""Languages of sib200 that are shuffled: some with much freedom of order, some with little; five scripts."""

T = TypeVar("T")
NUM_EACH = 8
"""Pairs of names a verb, at full amount: verbs are what is drawn anew for the interval, names vary little."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences that say the same or not.

    Attributes:
        group: Where it is from.
        language: Code.
        first: One.
        second: The other.
        same: Whether they do.
        cluster: Pairs that share it are much alike.
    """

    group: str
    language: str
    first: str
    second: str
    same: bool
    cluster: str


def outside_items(config: ProbeConfig) -> list[Item]:
    """Give the items of all sets that are at hand.

    Raises:
        InputError: a set is malformed.
    """
    return [*_paraphrased(config), *_sick(config), *_sugarcrepe(config)]


def plain_sentences(config: ProbeConfig) -> list[tuple[str, str]]:
    """Give sentences without a paraphrase, each with its language.

    Raises:
        InputError: the set is malformed.
    """
    found: dict[tuple[object, ...], list[tuple[str, str]]] = defaultdict(list)
    for _, (text, language), _ in read_set(config.folder("sib200"), "test.jsonl.gz", ("text", "lang")):
        if language in PLAIN and bears_shuffling(text):
            found[language,].append((language, text))
    return _drawn(found, 16, config)


def outside_pairs(config: ProbeConfig) -> list[Pair]:
    """Give pairs of pawsx, as many that say the same as not, in each language.

    Raises:
        InputError: the set is malformed.
    """
    found: dict[tuple[object, ...], list[Pair]] = defaultdict(list)
    rows = read_set(config.folder("pawsx"), "dev.jsonl.gz", ("s1", "s2", "lang"), ("label",))
    for _, (first, second, language), (label,) in rows:
        found[language, label == 1].append(Pair("pawsx", language, first, second, label == 1, first))
    return _drawn(found, 40, config)


def _paraphrased(config: ProbeConfig) -> list[Item]:
    """Shuffle sentences of stsb_multi that have a paraphrase."""
    by_language: dict[str, list[Item]] = defaultdict(list)
    rows = read_set(config.folder("stsb_multi"), "test.jsonl.gz", ("s1", "s2", "lang"), ("score",))
    for _, (first, second, language), (score,) in rows:
        bears = bears_shuffling(first) and text_id(first) != text_id(second)
        if bears and score >= SAME:
            by_language[language].append(Item("stsb", "", language, first, first, second, first))
    count = config.count(30)
    return [i for items in by_language.values() for i in shuffled_items(items, count, seed=config.seed)]


def _sick(config: ProbeConfig) -> list[Item]:
    """Join pairs of sick that share a sentence to triplets."""
    same: dict[str, list[str]] = defaultdict(list)
    other: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = read_set(config.folder("sick"), "all.jsonl.gz", ("s1", "s2", "nli"), ("score",))
    for _, (first, second, verdict), (score,) in rows:
        kind = _sick_kind(first, second, verdict, score)
        for anchor, text in ((first, second), (second, first)):
            if kind == "same":
                same[anchor].append(text)
            elif kind:
                other[anchor].append((kind, text))
    found: dict[tuple[object, ...], list[Item]] = defaultdict(list)
    for anchor in sorted(same.keys() & other.keys()):
        for kind, negative in dict(other[anchor]).items():
            found[kind,].append(Item("sick", kind, "en", anchor, anchor, same[anchor][0], negative))
    return _drawn(found, 120, config)


def _sick_kind(first: str, second: str, verdict: str, score: float) -> str:
    """Say what a pair shows: `same`, `word order`, `contradiction`; nothing where neither."""
    if verdict == "ENTAILMENT" and score >= SAME:
        return "same"
    if verdict != "ENTAILMENT" and sorted(split_tokens(first)) == sorted(split_tokens(second)):
        return "word order"
    if verdict == "CONTRADICTION" and bag_cosines([first], [second])[0] >= ALIKE:
        return "contradiction"
    return ""


def _sugarcrepe(config: ProbeConfig) -> list[Item]:
    """Take captions with an exchange, and another caption of their picture as what says the same."""
    fields = ("type", "image", "caption", "negative")
    rows = [texts for _, texts, _ in read_set(config.folder("sugarcrepe"), "probe.jsonl.gz", fields)]
    captions: dict[str, dict[int, str]] = defaultdict(dict)
    for _, image, caption, _ in rows:
        captions[image].setdefault(text_id(caption), caption)
    found: dict[tuple[object, ...], list[Item]] = defaultdict(list)
    for name, image, caption, negative in rows:
        others = [text for number, text in captions[image].items() if number != text_id(caption)]
        kind = {"swap_obj": "objects swapped", "swap_att": "attributes swapped"}.get(name)
        if kind is not None and others:
            found[kind,].append(Item("sugarcrepe", kind, "en", image, caption, others[0], negative))
    return _drawn(found, 120, config)


def _drawn(found: Mapping[tuple[object, ...], Sequence[T]], full: int, config: ProbeConfig) -> list[T]:
    """Draw some of the things of each key, by the seed and the key: `full` of them where everything is drawn."""
    drawn: list[T] = []
    for key, things in found.items():
        drawn += random.Random(repr((config.seed, *key))).sample(things, min(config.count(full), len(things)))
    return drawn


class Verbs(Frozen):
    """Verbs of a language that two names stand around.

    Attributes:
        symmetric: It says the same with the names exchanged.
        directed: It does not.
    """

    symmetric: tuple[str, ...] = Field(min_length=8)
    directed: tuple[str, ...] = Field(min_length=8)


class Lists(Frozen):
    """The file `symmetric.yaml`.

    Attributes:
        names: Names of persons; none begins with a vowel, before which French words change.
        verbs: By language.
    """

    names: tuple[str, ...] = Field(min_length=8)
    verbs: dict[str, Verbs]


@cache
def read_lists() -> Lists:
    """Read the verbs and names."""
    return Lists.model_validate(read_own_yaml(__package__, "symmetric.yaml"))


def symmetric_pairs(languages: Sequence[str], count: int, *, seed: int) -> list[Pair]:
    """Make sentences beside themselves with their names exchanged: `count` pairs of names for each verb."""
    lists = read_lists()
    found = []
    for language in languages:
        verbs = lists.verbs[language]
        for same, group in ((True, verbs.symmetric), (False, verbs.directed)):
            for verb in group:
                dice = random.Random(f"{seed}/{language}/{verb}")
                for _ in range(count):
                    one, other = dice.sample(lists.names, 2)
                    first, second = f"{one} {verb} {other}.", f"{other} {verb} {one}."
                    found.append(Pair(SYMMETRIC, language, first, second, same, verb))
    return found
