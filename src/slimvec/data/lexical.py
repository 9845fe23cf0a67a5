"""Words and constants of BM25, the same wherever it is used: as a baseline, for mining and for filtering.

Words are lower-cased runs of letters and digits of two characters or more without bm25s's English stop words, which is
its own default; no stemming, so that no language is favoured. Scripts that put no spaces between words (Chinese,
Japanese, Thai, Lao, Khmer, Burmese, Tibetan) are cut into overlapping pairs of characters, as Lucene's CJK analyser
does; otherwise a whole clause would be one word.
"""

import re

from bm25s.stopwords import STOPWORDS_EN

K1 = 1.5
"""Saturation of repeated words; bm25s's default. On eight English sets nDCG@10 is .638 with it and with 1.2, and .624
with 0.9 and B 0.4; without stop words .630."""
B = 0.75
"""Strength of length normalisation; bm25s's default."""

_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(STOPWORDS_EN)
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese characters
)
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def lexical_words(text: str, *, split_identifiers: bool = False) -> list[str]:
    """Words of a text as BM25 counts them."""
    words: list[str] = []
    for run in (run for word in _WORD.findall(text.lower()) for run in _RUNS.findall(word)):
        if _IS_UNSPACED.match(run):
            words += [run[start : start + 2] for start in range(max(1, len(run) - 1))]
            continue
        parts = run.split("_") if split_identifiers and "_" in run else []
        words += [part for part in (run, *parts) if len(part) > 1 and part not in _STOP_WORDS]
    return words
