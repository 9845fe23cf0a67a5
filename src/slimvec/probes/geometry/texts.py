"""Texts whose vectors are looked at, and pairs of them that mean the same."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimvec.data.records import check_text
from slimvec.data.tables import iter_rows, located
from slimvec.errors import InputError
from slimvec.probes.facts import make_facts
from slimvec.probes.protocol import ProbeConfig

FOLDER = "stsb_multi"
_FILE = "test.jsonl.gz"
_FIELDS = ("s1", "s2", "score", "lang")
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
    rows = _read_rows(folder / _FILE)
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


def _read_rows(path: Path) -> list[tuple[str, str, float]]:
    """English pairs with their scores."""
    found = []
    for row in iter_rows(path, fields=_FIELDS):
        missing = [name for name in _FIELDS if name not in row.values]
        if missing:
            raise InputError(f"{row.place}: no field {missing[0]!r}", expected=f"the fields {', '.join(_FIELDS)}")
        if row.values["lang"] != _LANGUAGE:
            continue
        score = row.values["score"]
        if not isinstance(score, int | float):
            raise InputError(f"{row.place}: score is {score!r}", expected="a number from 0 to 5")
        try:
            sides = [check_text(row.values[name], name) for name in ("s1", "s2")]
        except InputError as error:
            raise located(error, row.place) from error
        found.append((sides[0], sides[1], float(score)))
    return found
