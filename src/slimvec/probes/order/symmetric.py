"""Exchanges that change nothing beside exchanges that change everything: "A met B" and "A hired B".

Triplet accuracy is passed by a model that pushes every exchange of words away, whatever it means. Here that helps
nobody: each sentence is compared with the same sentence after its two names have changed places, and the cosine should
be higher where the verb is symmetric. A bag of words, and a model that treats all exchanges alike, have an AUC of one
half.
"""

import random
from collections.abc import Sequence
from functools import cache

from pydantic import Field

from slimvec.frozen import Frozen
from slimvec.probes.order.findings import SYMMETRIC
from slimvec.probes.order.outside import Pair
from slimvec.yaml_files import read_own_yaml

NUM_EACH = 8
"""Pairs of names a verb, at full amount: verbs are what is drawn anew for the interval, names vary little."""


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
    """Make sentences beside themselves with their names exchanged, as many of symmetric verbs as of others.

    Args:
        languages: Codes, of those with verbs.
        count: Pairs of names for each verb.
        seed: Random seed for the names.
    """
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
