"""`EvaluationIndex`: evaluation texts, for asking whether another text is one of them or shares a long run with one.

A run is thirteen words (GPT-3's decontamination, arXiv 2005.14165, appendix C) or forty characters of scripts without
spaces; in mixed texts a word counts for a thirteenth of a run and such a character for a fortieth. From each token
on, the shortest run that is long enough is hashed; two texts that share a long run share the hash of its first
shortest run, wherever it stands in them. Of a hundred million runs held against a million, one in two hundred
thousand such searches meets two runs with the same 64 bits.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimvec.data.contamination.evaluation_texts import EvaluationText
from slimvec.errors import InputError
from slimvec.ranking.words import is_character, split_tokens

Kind = Literal["exact", "run"]
_BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)


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
        exact = self._whole.get(_whole_key(tokens), set())
        found = {part: Match(*self._parts[part], "exact", " ".join(tokens), 1.0) for part in exact}
        for part, start, end, share in self._shared_runs(tokens):
            found.setdefault(part, Match(*self._parts[part], "run", " ".join(tokens[start:end]), share))
        return [found[part] for part in sorted(found)]

    def _index(self, texts: Iterable[EvaluationText], max_texts: int) -> None:
        """Lay out the runs of all texts by hash."""
        numbers: dict[tuple[str, str], int] = {}
        hashes, starts = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int32)]
        lengths: list[int] = []
        text_parts: list[int] = []
        num_runs = [0]
        for text in texts:
            key = (text.dataset, text.part)
            self.sizes[key] += 1
            tokens = split_tokens(text.text)
            if not tokens:
                continue
            part = numbers.setdefault(key, len(numbers))
            for form in filter(None, (tokens, split_tokens(text.body))):
                self._whole.setdefault(_whole_key(form), set()).add(part)
            run_hashes, run_starts, _ = self._runs(tokens)
            unique, first = np.unique(run_hashes, return_index=True)
            hashes.append(unique)
            starts.append(run_starts[first].astype(np.int32))
            lengths.append(len(tokens))
            text_parts.append(part)
            num_runs.append(len(unique))
        self._parts = list(numbers)
        self._lengths, self._text_parts = np.array(lengths, np.int64), np.array(text_parts, np.int32)
        run_texts = np.repeat(np.arange(len(lengths), dtype=np.int32), num_runs[1:])
        self._sort(np.concatenate(hashes), np.concatenate(starts), run_texts, max_texts)

    def _sort(
        self, hashes: NDArray[np.uint64], starts: NDArray[np.int32], texts: NDArray[np.int32], max_texts: int
    ) -> None:
        """Keep one entry for each run of each part, in the order of the hashes, without the set phrases."""
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
        hashes, starts, ends = self._runs(tokens)
        runs, entries = self._hits(hashes)
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

    def _runs(self, tokens: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """Hash, start and end of the shortest long run from each token that has one.

        The hash of a run is a polynomial modulo 2^64, taken from sums over the whole text: with powers b^j,
        (S[end] - S[start]) b^(-start), where S[k] sums b^j times the hash of token j over j < k.
        """
        own = np.fromiter(map(_token_hash, tokens), dtype=np.uint64, count=len(tokens))
        # A word weighs as many units as a run has characters, and a character as many as it has words.
        units = [self.words if is_character(token) else self.characters for token in tokens]
        weights = np.concatenate([[0], np.cumsum(units, dtype=np.int64)])
        starts = np.arange(len(tokens))
        ends = np.searchsorted(weights, weights[:-1] + self.words * self.characters, side="left")
        starts, ends = starts[ends <= len(tokens)], ends[ends <= len(tokens)]
        powers, inverses = _powers(1 << max(len(tokens), 1).bit_length())
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(own * powers[: len(own)], dtype=np.uint64)])
        return (sums[ends] - sums[starts]) * inverses[starts], starts, ends


def _covered(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
    """How many places some spans cover together."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    before = np.concatenate([starts[:1], np.maximum.accumulate(ends)[:-1]])
    return int(np.maximum(ends - np.maximum(starts, before), 0).sum())


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse, modulo 2^64."""
    powers, inverses = np.ones(count, np.uint64), np.ones(count, np.uint64)
    np.multiply.accumulate(np.full(count - 1, _BASE, np.uint64), out=powers[1:])
    np.multiply.accumulate(np.full(count - 1, _INVERSE, np.uint64), out=inverses[1:])
    return powers, inverses


@lru_cache(maxsize=1 << 18)
def _token_hash(token: str) -> int:
    return int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "little")


def _whole_key(tokens: Sequence[str]) -> bytes:
    return blake2b(" ".join(tokens).encode(), digest_size=16).digest()
