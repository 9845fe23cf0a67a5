"""Texts whose vectors are looked at, and pairs of them that mean the same."""

from dataclasses import dataclass

import numpy as np

from slimvec.errors import InputError
from slimvec.probes.facts import make_facts
from slimvec.probes.outside_sets import read_set
from slimvec.probes.protocol import ProbeConfig

FOLDER = "stsb_multi"
_FILE = "test.jsonl.gz"
_LANGUAGE = "en"
_ALIKE = 4.0
"""On the scale to 5: "mostly equivalent, but some unimportant details differ" (Cer et al. 2017)."""
_MIN_TEXTS, _MIN_PAIRS = 40, 8


@dataclass(frozen=True)
class SpreadTexts:
    """Texts and pairs.

    Attributes:
        texts: Different ones.
        pairs: Pairs that belong together.
        source: Where they are from, for the report.
        pair_kind: What the pairs are.
    """

    texts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    source: str
    pair_kind: str


def gather_texts(config: ProbeConfig, num_texts: int, num_pairs: int) -> SpreadTexts:
    """Gather texts of different content.

    Args:
        config: Its data may have `stsb_multi`, of which the English test part is used; without it, facts are made.
        num_texts: At most.
        num_pairs: At most.

    Raises:
        InputError: `stsb_multi` is there and malformed, or has too few sentences or no paraphrases.
    """
    generator = np.random.default_rng(config.seed)
    folder = config.folder(FOLDER)
    if folder is None:
        facts = make_facts(num_texts, generator)
        pairs = tuple((fact.question, fact.text) for fact in facts[:num_pairs])
        return SpreadTexts(
            tuple(fact.text for fact in facts), pairs, "made facts", "questions and the sentences that answer them"
        )
    rows = [
        (row.texts["s1"], row.texts["s2"], row.numbers["score"])
        for row in read_set(folder, _FILE, ("s1", "s2", "lang"), ("score",))
        if row.texts["lang"] == _LANGUAGE
    ]
    sentences = list(dict.fromkeys(text for first, second, _ in rows for text in (first, second)))
    if len(sentences) < _MIN_TEXTS:
        raise InputError(
            f"{folder / _FILE} has {len(sentences)} different sentences in {_LANGUAGE}",
            expected=f"{_MIN_TEXTS} or more",
        )
    alike = [(first, second) for first, second, score in rows if score >= _ALIKE and first != second]
    if len(alike) < _MIN_PAIRS:
        raise InputError(
            f"{folder / _FILE} has {len(alike)} pairs of score {_ALIKE:g} or more in {_LANGUAGE}",
            expected=f"{_MIN_PAIRS} or more",
        )
    chosen = [sentences[number] for number in generator.permutation(len(sentences))[:num_texts]]
    pairs = tuple(alike[number] for number in generator.permutation(len(alike))[:num_pairs])
    return SpreadTexts(tuple(chosen), pairs, f"{FOLDER}, English", f"paraphrases (score {_ALIKE:g} of 5 or more)")
