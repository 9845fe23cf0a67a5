"""Sentences of a document in another order: the same content, so the same positive, with what answers elsewhere.

A model that learns from documents as they were written learns where their evidence usually stands: at the beginning.
Moved about, evidence is found wherever it is (training with balanced positions cuts the position sensitivity index by
57 to 87%, as its papers report). Sentences are moved, never words: what a sentence says is left alone, or the model
would learn not to care about the order of words.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from slimvec.data.records import Record
from slimvec.text.sentences import sentence_spans


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
