"""What a tokenizer makes of the same sentences in many languages, with intervals over the sentences.

The sentences are as SIB-200 has them (Adelani et al. 2024, arXiv 2309.07445).

Letters: S sentences, L languages, R resamples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import tokenizers
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.probes.documents import read_set
from slimvec.probes.results import Figure
from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.resampling import Values, draw_counts
from slimvec.text.coverage import CoverageMeter, TextCoverage
from slimvec.text.scripts import main_script

FOLDER = "sib200"
ENGLISH = "eng_Latn"
_FILE = "test.jsonl.gz"
_MIN_SENTENCES = 4
_WRITING = {"Hiragana": "Japanese", "Katakana": "Japanese"}
"""Japanese is written in three scripts at once; it is shown by its own name."""
LIMIT_TOKENS = 512
"""The length many embedding models are trained to."""
READ = 0.95
"""Share of the characters above which a language or a script counts as read."""


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
        texts = {language: tuple(rows[language][i] for i in shared) for language in sorted(rows)}
        scripts = {language: main_script(" ".join(sentences)) or "none" for language, sentences in texts.items()}
        return cls(texts, {language: _WRITING.get(script, script) for language, script in scripts.items()})

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages."""
        return tuple(self.texts)

    @property
    def others(self) -> tuple[str, ...]:
        """Those beside English."""
        return tuple(language for language in self.texts if language != ENGLISH)

    @property
    def num_sentences(self) -> int:
        """S."""
        return len(self.texts[ENGLISH])

    def sample(self, num_sentences: int, *, num_languages: int | None = None, seed: int) -> Self:
        """Draw at most this many sentences, the same in every language, and languages beside English; None for all."""
        generator = np.random.default_rng(seed)
        order = generator.permutation(self.num_sentences)[:num_sentences]
        kept = {*generator.permutation(self.others)[:num_languages].tolist(), ENGLISH}
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
    for place, (text, language), (number,) in read_set(folder, _FILE, ("text", "lang"), ("id",)):
        if found.setdefault(language, {}).setdefault(number, text) != text:
            raise InputError(f"{place}: sentence {number:.15g} stands twice in {language}", expected="it once")
    if not found:
        raise InputError(f"{folder / _FILE} has no sentences", expected="the same ones in several languages")
    return found


@dataclass(frozen=True, kw_only=True)
class Ratio(Figure):
    """A figure of a language: a sum over its sentences divided by another.

    Attributes:
        top: What a sentence adds above the line, given what became of it and of its English counterpart.
        bottom: Below it, likewise.
    """

    baseline_name: str = "English"
    top: Callable[[TextCoverage, TextCoverage], float]
    bottom: Callable[[TextCoverage, TextCoverage], float]

    @property
    def form(self) -> str:
        """Format of its values."""
        return {"share": ".1%", "ratio": ".2f"}.get(self.unit, ",.0f")


def _tokens(own: TextCoverage, _: TextCoverage) -> int:
    return max(1, own.num_tokens)  # nothing is read of a sentence without tokens


COVERAGE = Ratio("coverage", "share", True, top=lambda own, _: own.share, bottom=lambda *_: 1)
EXACT = Ratio("exact round trip", "share", True, top=lambda own, _: own.is_exact, bottom=lambda *_: 1)
NORMALISED = Ratio(
    "round trip after normalising", "share", True, top=lambda own, _: own.is_normalised, bottom=lambda *_: 1
)
UNKNOWN = Ratio("unknown tokens", "share", False, top=lambda own, _: own.num_unknown, bottom=_tokens)
PIECES = Ratio("pieces of characters", "share", False, top=lambda own, _: own.num_pieces, bottom=_tokens)
FERTILITY = Ratio("fertility", "ratio", False, top=_tokens, bottom=lambda _, english: _tokens(english, english))
CHARACTERS = Ratio(
    f"characters in {LIMIT_TOKENS} tokens",
    "characters",
    True,
    top=lambda own, _: LIMIT_TOKENS * own.num_characters,
    bottom=_tokens,
)
FIGURES = (COVERAGE, EXACT, NORMALISED, UNKNOWN, PIECES, FERTILITY, CHARACTERS)


@dataclass(frozen=True, eq=False)
class Measured:
    """A tokenizer's figures on sentences.

    Attributes:
        name: Name of the tokenizer.
        sentences: What it was measured on.
        values: By figure, [L].
        resampled: By figure, [R, L]: on the same resamples of the sentences for all figures and languages.
    """

    name: str
    sentences: ParallelSentences
    values: Mapping[str, Values]
    resampled: Mapping[str, Values]

    @classmethod
    def of(cls, name: str, backend: tokenizers.Tokenizer, sentences: ParallelSentences, *, seed: int) -> Self:
        """Turn every sentence into tokens and back, and count; the seed is that of the resamples."""
        meter = CoverageMeter(backend)
        columns = [meter.measure(texts) for texts in sentences.texts.values()]
        english = columns[sentences.languages.index(ENGLISH)]
        weights = draw_counts(sentences.num_sentences, np.random.default_rng(seed))
        values, resampled = {}, {}
        for figure in FIGURES:
            top, bottom = (
                np.array([list(map(part, column, english)) for column in columns], dtype=np.float64).T
                for part in (figure.top, figure.bottom)
            )
            values[figure.name] = top.sum(axis=0) / bottom.sum(axis=0)
            resampled[figure.name] = (weights @ top) / (weights @ bottom)
        return cls(name, sentences, values, resampled)

    def language(
        self, figure: Ratio, *languages: str, combine: Callable[..., NDArray[np.floating]] = np.mean
    ) -> Interval:
        """A figure of a language, or the mean or median over some, each of the same weight."""
        members = [self.sentences.languages.index(language) for language in languages]
        drawn = np.asarray(combine(self.resampled[figure.name][:, members], axis=1), dtype=np.float64)
        return percentile_interval(float(combine(self.values[figure.name][members])), drawn)

    def script(self, figure: Ratio, script: str) -> Interval:
        """A figure of a script: the mean over its languages."""
        return self.language(figure, *self.sentences.by_script()[script])

    def reads(self, script: str) -> bool:
        """Whether a script counts as read."""
        return self.script(COVERAGE, script).value >= READ

    def overall(self, figure: Ratio) -> Interval:
        """A figure over all languages but English: the mean, or for ratios and lengths the median."""
        return self.language(figure, *self.sentences.others, combine=np.mean if figure.unit == "share" else np.median)

    @property
    def scripts(self) -> dict[str, int]:
        """Scripts, from the one that takes the fewest tokens to the one that takes most, with their languages."""
        groups = self.sentences.by_script()
        order = sorted(groups, key=lambda script: (self.script(FERTILITY, script).value, script))
        return {script: len(groups[script]) for script in order}
