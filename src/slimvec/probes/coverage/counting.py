"""What a tokenizer makes of the same sentences in many languages, with intervals over the sentences.

The sentences are as SIB-200 has them (Adelani et al. 2024, arXiv 2309.07445).

Letters: S sentences, L languages, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.probes.documents import read_set
from slimvec.probes.results import Figure
from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.resampling import Values, draw_counts
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import main_script

FOLDER = "sib200"
ENGLISH = "eng_Latn"
_FILE = "test.jsonl.gz"
_MIN_SENTENCES = 4
_WRITING = {"Hiragana": "Japanese", "Katakana": "Japanese"}
"""Japanese is written in three scripts at once; it is shown by its own name."""
LIMIT_TOKENS = 512
"""The length many embedding models are trained to."""


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


@dataclass(frozen=True, eq=False)
class Counts:
    """What a tokenizer made of sentences: all [S, L], in the order of the sentences and of their languages.

    Attributes:
        languages: Codes of the L languages.
        kept: Share of the characters that come back.
        exact: 1 where the sentence comes back as it was.
        normalised: 1 where it comes back as the tokenizer's own normaliser writes it, white space aside.
        characters: Characters.
        tokens: Tokens, without special ones.
        unknown: Tokens for what is unknown.
        pieces: Tokens that are not whole characters.
    """

    languages: tuple[str, ...]
    kept: Values
    exact: Values
    normalised: Values
    characters: Values
    tokens: Values
    unknown: Values
    pieces: Values

    @property
    def english(self) -> Values:
        """Tokens of the same sentence in English: [S, 1]."""
        return self.tokens[:, [self.languages.index(ENGLISH)]]


@dataclass(frozen=True, kw_only=True)
class Ratio(Figure):
    """A figure of a language: a sum over sentences divided by another, on the same sentences.

    Attributes:
        top: [S, L] above the line.
        bottom: [S, L] or [S, 1] below it.
    """

    baseline_name: str = "English"
    top: Callable[[Counts], Values]
    bottom: Callable[[Counts], Values]

    @property
    def form(self) -> str:
        """Format of its values."""
        return {"share": ".1%", "ratio": ".2f"}.get(self.unit, ",.0f")


def _one(counts: Counts) -> Values:
    return np.ones_like(counts.tokens)


COVERAGE = Ratio("coverage", "share", True, top=lambda c: c.kept, bottom=_one)
EXACT = Ratio("exact round trip", "share", True, top=lambda c: c.exact, bottom=_one)
NORMALISED = Ratio("round trip after normalising", "share", True, top=lambda c: c.normalised, bottom=_one)
UNKNOWN = Ratio("unknown tokens", "share", False, top=lambda c: c.unknown, bottom=lambda c: c.tokens)
PIECES = Ratio("pieces of characters", "share", False, top=lambda c: c.pieces, bottom=lambda c: c.tokens)
FERTILITY = Ratio("fertility", "ratio", False, top=lambda c: c.tokens, bottom=lambda c: c.english)
CHARACTERS = Ratio(
    f"characters in {LIMIT_TOKENS} tokens",
    "characters",
    True,
    top=lambda c: LIMIT_TOKENS * c.characters,
    bottom=lambda c: c.tokens,
)
FIGURES = (COVERAGE, EXACT, NORMALISED, UNKNOWN, PIECES, FERTILITY, CHARACTERS)


@dataclass(frozen=True, eq=False)
class Estimates:
    """A figure by language.

    Attributes:
        values: [L].
        resampled: [R, L], by resampling sentences, the same draws for all languages.
    """

    values: Values
    resampled: Values

    def of(self, members: Sequence[int], combine: Callable[..., NDArray[np.floating]] = np.mean) -> Interval:
        """Give the figure of some languages together.

        Args:
            members: Numbers of the languages; each has the same weight.
            combine: Mean or median over them.
        """
        chosen = np.asarray(combine(self.resampled[:, list(members)], axis=1), dtype=np.float64)
        return percentile_interval(float(combine(self.values[list(members)])), chosen)


def count_tokens(meter: CoverageMeter, sentences: ParallelSentences) -> Counts:
    """Turn every sentence into tokens and back, and count."""
    columns = [meter.measure(texts) for texts in sentences.texts.values()]
    fields = ("share", "is_exact", "is_normalised", "num_characters", "num_tokens", "num_unknown", "num_pieces")
    arrays = [np.array([[getattr(found, name) for found in column] for column in columns], float).T for name in fields]
    arrays[fields.index("num_tokens")].clip(min=1, out=arrays[fields.index("num_tokens")])  # nothing is read of it
    return Counts(sentences.languages, *arrays)


def estimate(counts: Counts, figures: Sequence[Ratio] = FIGURES, *, seed: int) -> dict[str, Estimates]:
    """Give figures by language, each with its resamples; the same draws of sentences for all of them.

    Args:
        counts: Counts of a tokenizer.
        figures: Which.
        seed: Random seed for the draws.
    """
    weights = draw_counts(len(counts.tokens), np.random.default_rng(seed))
    found = {}
    for figure in figures:
        top, bottom = figure.top(counts), figure.bottom(counts)
        values = top.sum(axis=0) / bottom.sum(axis=0)
        found[figure.name] = Estimates(values, (weights @ top) / (weights @ bottom))
    return found
