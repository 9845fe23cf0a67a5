"""Triplets to train with: an anchor, a paraphrase, and a contrast of the same words in another order, or negated.

A model that was blind to order was mended by 11,000 such triplets with negations beside them, its authors report. The
templates here are not those that the word order probe asks with: no template and no name, place or number is in both,
so that a better score there is not one of learnt items. The kinds of exchange are shared: they are what is learnt.
"""

import random
from collections.abc import Sequence
from functools import cache

from slimvec.data.records import Record
from slimvec.data.templates import KINDS, Kind, Templates, Triplet
from slimvec.errors import InputError

LANGUAGES = ("en", "de", "fr", "es")
SOURCE = "order"
TASK = "Given a sentence, find one that says the same"


def make_triplets(
    count: int, *, seed: int = 0, languages: Sequence[str] = ("en",), kinds: Sequence[Kind] = KINDS, task: str = TASK
) -> list[Record]:
    """Make training records, shared out evenly over languages, then kinds, then templates as far as their words reach.

    In half of the records, chosen at random, the paraphrase asks for the anchor instead of the other way about. No
    anchor is repeated.

    Args:
        count: Records wanted.
        seed: Random seed for words, order and sides; the same seed makes the same records.
        languages: Languages in `LANGUAGES`.
        kinds: What is exchanged.
        task: Task of the records: a name the model's prompts know, or a whole instruction.

    Raises:
        InputError: a language there are no templates for, or fewer different records than asked for.
    """
    chosen = [read_templates(language) for language in dict.fromkeys(languages)]
    cells = [
        [name for name, (own, _) in templates.named().items() if own == kind]
        for templates in chosen
        for kind in dict.fromkeys(kinds)
    ]
    owners = {name: templates for templates in chosen for name in templates.named()}
    room = {name: owners[name].num_fillings(owners[name].named()[name][1]) for names in cells for name in names}
    wanted = _share_out(count, cells, room)
    triplets = [t for name, number in wanted.items() for t in owners[name].draw(name, number, seed=seed)]
    dice = random.Random(f"{seed}/triplets")
    dice.shuffle(triplets)
    return [_record(triplet, task, turned=dice.random() < 0.5) for triplet in triplets]


@cache
def read_templates(language: str) -> Templates:
    """Give the templates of a language.

    Raises:
        InputError: there are none.
    """
    return Templates.read(__package__, language, known=LANGUAGES)


def _share_out(count: int, cells: Sequence[Sequence[str]], room: dict[str, int]) -> dict[str, int]:
    """Say how often each template is filled: one after the other in turns, cell by cell, until there is no room.

    Raises:
        InputError: there is not enough room in all.
    """
    most = sum(room[name] for cell in cells for name in cell)
    if count > most:
        raise InputError(
            f"{count:,} triplets of {len(cells)} kinds and languages",
            expected=f"at most {most:,}, which is all there are",
            do="ask for fewer, or for more kinds or languages",
        )
    wanted = dict.fromkeys((name for cell in cells for name in cell), 0)
    while (missing := count - sum(wanted.values())) > 0:
        open_cells = [left for cell in cells if (left := [name for name in cell if wanted[name] < room[name]])]
        for number, cell in enumerate(open_cells):
            share = _part(missing, number, len(open_cells))
            for place, name in enumerate(cell):
                wanted[name] += min(_part(share, place, len(cell)), room[name] - wanted[name])
    return wanted


def _part(total: int, number: int, parts: int) -> int:
    """Give one of so many parts of a number, which differ by one at most and add up to it."""
    return total * (number + 1) // parts - total * number // parts


def _record(triplet: Triplet, task: str, *, turned: bool) -> Record:
    """Make a record; `turned` has the paraphrase ask."""
    query, positive = (triplet.paraphrase, triplet.anchor) if turned else (triplet.anchor, triplet.paraphrase)
    return Record(
        query, (positive,), contrasts=(triplet.negative,), task=task, language=triplet.language, source=SOURCE
    )
