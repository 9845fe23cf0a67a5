"""Order-aware hard negatives, made when a record is drawn: one of its texts with the words in another order.

They join a record as contrasts, not as mined negatives: they are as like the text they come from as can be, which is
what rules against false negatives look for, and yet they are wrong.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from slimvec.data.records import Record
from slimvec.data.reordering import reorder, shorten
from slimvec.data.reordering_kinds import Origin, Reordering
from slimvec.data.text_ids import text_id
from slimvec.text.sentences import split_sentences


def add_order_negative(
    record: Record, generator: np.random.Generator, *, share: float, kinds: Sequence[Reordering], of: Origin
) -> Record:
    """Give a record a contrast of reordered words, or leave it as it is.

    Left alone are graded pairs, whose second text is right by degrees, and records whose text bears none of the kinds.
    A record of several positives comes with the one that was reordered, so that both stand against each other.

    Args:
        record: As the data has it.
        generator: Draws.
        share: Share of the records that get a contrast, as far as their texts bear it.
        kinds: Kinds of reordering, to choose from.
        of: What is reordered.
    """
    if generator.random() >= share or (len(record.scores) == 1 and not record.negatives):
        return record
    single = _with_one_positive(record, int(generator.integers(len(record.positives))))
    if of == "sentence":
        return _about_a_sentence(single, generator, kinds) or record
    text = single.query if of == "query" else single.positives[0]
    contrast = reorder(text, kinds, generator, language=record.language)
    if contrast is None or _is_known(contrast, record):
        return record
    return replace(single, contrasts=(contrast, *single.contrasts))


def _with_one_positive(record: Record, place: int) -> Record:
    """Keep one positive, with its score and those of the negatives."""
    num = len(record.positives)
    scores = (record.scores[place], *record.scores[num:]) if record.scores else ()
    return replace(record, positives=(record.positives[place],), scores=scores)


def _about_a_sentence(record: Record, generator: np.random.Generator, kinds: Sequence[Reordering]) -> Record | None:
    """Have a sentence of the positive ask for itself shortened, against itself reordered; None where none bears it."""
    sentences = split_sentences(record.positives[0])
    for place in generator.permutation(len(sentences)).tolist():
        sentence = sentences[place]
        short = shorten(sentence, generator)
        contrast = reorder(sentence, kinds, generator, language=record.language)
        if short is None or contrast is None:
            continue
        made = Record(sentence, (short,), task=record.task, language=record.language, source=record.source)
        if not _is_known(contrast, made) and text_id(short) != text_id(sentence):
            return replace(made, contrasts=(contrast,))
    return None


def _is_known(text: str, record: Record) -> bool:
    """Whether a text is the query or a positive of a record, white space and capitals aside."""
    return text_id(text) in {text_id(known) for known in (record.query, *record.positives)}
