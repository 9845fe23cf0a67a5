"""Records whose texts are changed when they are drawn: documents in another order, hard negatives of reordered words.

A model that learns from documents as they were written learns where their evidence usually stands: at the beginning.
Moved about, evidence is found wherever it is (training with balanced positions cuts the position sensitivity index by
57 to 87%, as its papers report). Sentences are moved, never words: what a sentence says is left alone, or the model
would learn not to care about the order of words.

Order-aware hard negatives are texts of a record with the words in another order. They join it as contrasts, not as
mined negatives: they are as like the text they come from as can be, which is what rules against false negatives look
for, and yet they are wrong.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from slimvec.data.records import Record
from slimvec.data.reordering import reorder, shorten
from slimvec.data.reordering_kinds import Origin, Reordering
from slimvec.data.text_ids import text_id
from slimvec.text.sentences import sentence_spans, split_sentences


def rearrange_documents(record: Record, generator: np.random.Generator, *, permute: float, rotate: float) -> Record:
    """Rearrange the sentences of a record's positives and negatives, each document by itself.

    Where evidence stands within a document is not known; but a rotation by any number of sentences, all alike likely,
    brings every sentence to every place equally often. With `rotate` 1 the positions of the evidence are balanced
    exactly, whatever they were.

    Args:
        record: Its query is left alone. Texts of one sentence stay as they are.
        generator: Draws.
        permute: Share of the documents whose sentences are shuffled.
        rotate: Share of those whose sentences are rotated: the ones from a place on come first, the others follow.
            With `permute` at most 1; the rest stays as it is.

    Returns:
        A record with as many texts, in their order, each saying what it said.
    """
    positives, negatives = (
        tuple(_rearranged(text, generator, permute, rotate) for text in texts)
        for texts in (record.positives, record.negatives)
    )
    if set(positives) & {*negatives, *record.contrasts}:  # of the same sentences, and now in the same order
        return record
    return replace(record, positives=positives, negatives=negatives)


def reorder_sentences(text: str, order: Sequence[int]) -> str:
    """Put the sentences of a text in an order; the white space between them stays where it is.

    Args:
        text: Has S sentences.
        order: A permutation of 0 to S - 1: number of the sentence that comes first, second and so on.

    Raises:
        ValueError: `order` is not a permutation of the sentences.
    """
    spans = sentence_spans(text)
    if sorted(order) != list(range(len(spans))):
        raise ValueError(f"order {list(order)} of {len(spans)} sentences")
    if not spans:
        return text
    pieces, end = [text[: spans[0][0]]], spans[0][0]
    for place, number in zip(spans, order, strict=True):
        pieces += [text[end : place[0]], text[slice(*spans[number])]]
        end = place[1]
    return "".join([*pieces, text[end:]])


def _rearranged(text: str, generator: np.random.Generator, permute: float, rotate: float) -> str:
    """Permute, rotate or leave a text."""
    choice = generator.random()
    if choice >= permute + rotate:
        return text
    count = len(sentence_spans(text))
    if choice < permute:
        return reorder_sentences(text, generator.permutation(count).tolist())
    return reorder_sentences(text, np.roll(np.arange(count), -int(generator.integers(count))).tolist())


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
