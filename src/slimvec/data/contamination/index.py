"""`EvaluationIndex`: evaluation texts, for asking whether another text is one of them or shares a long run with one.

What a long run is, `runs.py` says.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimvec.data.contamination.evaluation_texts import EvaluationText
from slimvec.data.contamination.runs import Runs, in_blocks, long_runs, whole_key
from slimvec.errors import InputError
from slimvec.ranking.words import split_tokens

Kind = Literal["exact", "run"]


@dataclass(frozen=True, slots=True)
class Match:
    """What a text shares with evaluation texts of one part of one set.

    Attributes:
        dataset: Name of the evaluation set.
        part: `queries`, `documents` or `texts`.
        kind: `exact`: the same tokens from first to last; `run`: a long run of them.
        shared: The tokens of the first run, with spaces between, or of the whole text.
        share: How much of the text stands in shared runs, or how much of one evaluation text does, whichever is
            more; 0 to 1, counted in tokens. 1 for `exact`.
    """

    dataset: str
    part: str
    kind: Kind
    shared: str
    share: float


class EvaluationIndex:
    """Memory: about 25 bytes a token of the evaluation texts; nothing of what is asked.

    Args:
        texts: Texts of any number of evaluation sets.
        words: Length of a run.
        characters: Length of a run in scripts without spaces.
        max_texts: A run that stands in more than this many evaluation texts of a part is a set phrase, and no
            evidence. GPT-3 ignored runs that hit more than ten training texts; the evaluation texts are counted here,
            because the training texts are a stream.

    Attributes:
        sizes: Texts by (set, part).
        num_common: Runs ignored as set phrases.

    Raises:
        InputError: no text.
    """

    def __init__(
        self, texts: Iterable[EvaluationText], *, words: int = 13, characters: int = 40, max_texts: int = 10
    ) -> None:
        self.words, self.characters = words, characters
        self.sizes: Counter[tuple[str, str]] = Counter()
        self._whole: dict[bytes, set[int]] = {}
        self._parts: list[tuple[str, str]] = []
        self.num_common = 0
        self._index(texts, max_texts)
        if not self.sizes:
            raise InputError("no evaluation texts", expected="at least one")

    def matches(self, text: str) -> list[Match]:
        """Find what a text shares with the evaluation texts: at most one match for each part of each set."""
        tokens = split_tokens(text)
        exact = self._whole.get(whole_key(tokens), set())
        found = {part: Match(*self._parts[part], "exact", " ".join(tokens), 1.0) for part in exact}
        for part, start, end, share in self._shared_runs(tokens):
            found.setdefault(part, Match(*self._parts[part], "run", " ".join(tokens[start:end]), share))
        return [found[part] for part in sorted(found)]

    def _index(self, texts: Iterable[EvaluationText], max_texts: int) -> None:
        """Lay out the runs of all texts by hash."""
        lengths: list[int] = []
        text_parts: list[int] = []
        found: list[Runs] = []
        num_done = 0
        for block in in_blocks(self._tokenised(texts, lengths, text_parts)):
            found.append(self._runs(*block).distinct().shifted(num_done))
            num_done += len(block)
        self._lengths, self._text_parts = np.array(lengths, np.int64), np.array(text_parts, np.int32)
        self._sort(Runs.joined(found), max_texts)

    def _tokenised(
        self, texts: Iterable[EvaluationText], lengths: list[int], text_parts: list[int]
    ) -> Iterator[list[str]]:
        """Give the tokens of all texts that have any; note their lengths, their parts, and the texts as a whole."""
        numbers: dict[tuple[str, str], int] = {}
        for text in texts:
            key = (text.dataset, text.part)
            self.sizes[key] += 1
            tokens = split_tokens(text.text)
            if not tokens:
                continue
            part = numbers.setdefault(key, len(self._parts))
            if part == len(self._parts):
                self._parts.append(key)
            for form in filter(None, (tokens, split_tokens(text.body))):
                self._whole.setdefault(whole_key(form), set()).add(part)
            lengths.append(len(tokens))
            text_parts.append(part)
            yield tokens

    def _sort(self, runs: Runs, max_texts: int) -> None:
        """Keep one entry for each run of each part, in the order of the hashes, without the set phrases."""
        hashes, starts, texts = runs.hashes, runs.starts.astype(np.int32), runs.texts.astype(np.int32)
        parts = self._text_parts[texts]
        order = np.lexsort((texts, parts, hashes))
        hashes, starts, texts, parts = hashes[order], starts[order], texts[order], parts[order]
        is_first = np.ones(len(hashes), dtype=bool)
        is_first[1:] = (hashes[1:] != hashes[:-1]) | (parts[1:] != parts[:-1])
        first = np.flatnonzero(is_first)
        num_texts = np.diff(np.append(first, len(hashes)))
        self.num_common = int((num_texts > max_texts).sum())
        first = first[num_texts <= max_texts]
        self._hashes, self._starts, self._texts = hashes[first], starts[first], texts[first]

    def _shared_runs(self, tokens: Sequence[str]) -> Iterator[tuple[int, int, int, float]]:
        """For each part that shares runs: its number, start and end of the first run in the tokens, and the share."""
        found = self._runs(tokens)
        starts, ends = found.starts, found.ends
        runs, entries = self._hits(found.hashes)
        texts = self._texts[entries]
        parts = self._text_parts[texts]
        for part in np.unique(parts):
            own = parts == part
            hit, there = runs[own], self._starts[entries[own]].astype(np.int64)
            shares = [_covered(starts[hit], ends[hit]) / len(tokens)]
            for text in np.unique(texts[own]):
                same = texts[own] == text
                begin = there[same]
                shares.append(_covered(begin, begin + (ends - starts)[hit[same]]) / int(self._lengths[text]))
            yield int(part), int(starts[hit[0]]), int(ends[hit[0]]), max(shares)

    def _hits(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The runs that evaluation texts have too, and their entries: one pair for each part that has the run."""
        none = np.zeros(0, dtype=np.int64)
        if not len(self._hashes) or not len(hashes):
            return none, none
        low = np.searchsorted(self._hashes, hashes, side="left")
        there = np.flatnonzero(self._hashes[np.minimum(low, len(self._hashes) - 1)] == hashes)
        counts = np.searchsorted(self._hashes, hashes[there], side="right") - low[there]
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(there, counts), np.repeat(low[there], counts) + steps

    def _runs(self, *texts: Sequence[str]) -> Runs:
        return long_runs(texts, words=self.words, characters=self.characters)


def _covered(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
    """How many places some spans cover together."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    before = np.concatenate([starts[:1], np.maximum.accumulate(ends)[:-1]])
    return int(np.maximum(ends - np.maximum(starts, before), 0).sum())
