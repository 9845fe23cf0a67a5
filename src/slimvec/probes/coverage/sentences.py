"""The same sentences in many languages, as SIB-200 has them (Adelani et al. 2024, arXiv 2309.07445)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from slimvec.errors import InputError
from slimvec.probes.outside_sets import read_set
from slimvec.text.scripts import main_script

FOLDER = "sib200"
ENGLISH = "eng_Latn"
_FILE = "test.jsonl.gz"
_MIN_SENTENCES = 4
_WRITING = {"Hiragana": "Japanese", "Katakana": "Japanese"}
"""Japanese is written in three scripts at once; it is shown by its own name."""


@dataclass(frozen=True)
class ParallelSentences:
    """Sentences that mean the same in every language.

    Attributes:
        texts: By language, L of them in the order of their codes: S sentences, in the same order in each.
        scripts: By language, the script it is written in.
    """

    texts: Mapping[str, tuple[str, ...]]
    scripts: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder with rows of `id` (equal across languages), `text` and `lang`, in `test.jsonl.gz`.

        Sentences that are not there in every language are left out.

        Raises:
            InputError: the file is missing or malformed, has no English or nothing else, or the languages share too
                few sentences.
        """
        rows = _read_rows(folder)
        if ENGLISH not in rows:
            raise InputError(f"{folder / _FILE} has no language {ENGLISH}", expected="English, to compare with")
        shared = sorted(set.intersection(*(set(sentences) for sentences in rows.values())))
        if len(shared) < _MIN_SENTENCES:
            raise InputError(
                f"{folder / _FILE} has {len(shared)} sentences in all its {len(rows)} languages",
                expected=f"{_MIN_SENTENCES} or more with equal ids",
            )
        if len(rows) < 2:
            raise InputError(f"{folder / _FILE} has English alone", expected="other languages, to compare with it")
        return cls.of({language: tuple(rows[language][i] for i in shared) for language in sorted(rows)})

    @classmethod
    def of(cls, texts: Mapping[str, tuple[str, ...]]) -> Self:
        """Find the script of each language's sentences."""
        scripts = {language: main_script(" ".join(sentences)) or "none" for language, sentences in texts.items()}
        return cls(texts, {language: _WRITING.get(script, script) for language, script in scripts.items()})

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages."""
        return tuple(self.texts)

    @property
    def num_sentences(self) -> int:
        """S."""
        return len(self.texts[ENGLISH])

    def sample(self, num_sentences: int, *, num_languages: int | None = None, seed: int) -> Self:
        """Draw sentences, the same in every language, and languages; English stays.

        Args:
            num_sentences: At most this many.
            num_languages: At most this many beside English; None keeps all.
            seed: Random seed for the draw.
        """
        generator = np.random.default_rng(seed)
        order = generator.permutation(self.num_sentences)[:num_sentences]
        others = [language for language in self.languages if language != ENGLISH]
        kept = {*generator.permutation(others)[:num_languages].tolist(), ENGLISH}
        languages = [language for language in self.languages if language in kept]
        return type(self)(
            {language: tuple(self.texts[language][i] for i in order) for language in languages},
            {language: self.scripts[language] for language in languages},
        )

    def by_script(self) -> dict[str, list[str]]:
        """Languages by script, the scripts in the order of the alphabet."""
        groups: dict[str, list[str]] = {}
        for language, script in sorted(self.scripts.items(), key=lambda item: (item[1], item[0])):
            groups.setdefault(script, []).append(language)
        return groups


def _read_rows(folder: Path) -> dict[str, dict[float, str]]:
    """Sentences by language and id."""
    found: dict[str, dict[float, str]] = {}
    for row in read_set(folder, _FILE, ("text", "lang"), ("id",)):
        text, language = row.texts.values()
        number = row.numbers["id"]
        if found.setdefault(language, {}).setdefault(number, text) != text:
            raise InputError(f"{row.place}: sentence {number} stands twice in {language}", expected="it once")
    if not found:
        raise InputError(f"{folder / _FILE} has no sentences", expected="the same ones in several languages")
    return found
