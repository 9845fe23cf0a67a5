"""The workloads: which texts, how long, and how they are timed. Tokens are counted once, alike for all engines."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.flops import Work
from benchmarks.texts import TextPool, joined_to
from slimvec.errors import InputError
from slimvec.text.tokenizer import Tokenizer

INSTRUCTION = (
    "Instruct: Given a short question about a function or class of a Python package, find the passage of "
    "the documentation that answers it\nQuery:\n"
)
"""About 30 tokens, ending in a line break as slimvec's own prompts do."""
MAX_TOKENS = 512
_SEED = 27
_SHORTEST, _LONGEST = 10, 250
_MEDIAN, _SPREAD = 45, 0.68
"""Parameters of the log-normal lengths of `mixed`: after cutting to the limits, 56 tokens on average."""
_QUERY_TOKENS = range(8, 17)
_MAX_SINGLE = 40
_DOCUMENT_SHARE = 16
_CHARACTERS_PER_TOKEN = 8
"""Enough for any text: English has four."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Texts to embed.

    Attributes:
        name: Name of the workload.
        texts: Different texts.
        instructed: Whether the instruction stands before each.
        one_by_one: Whether each text is timed alone.
        lengths: Tokens of each text, instruction included.
        shared: Tokens of the instruction that all begin with.
    """

    name: str
    texts: tuple[str, ...]
    instructed: bool
    one_by_one: bool
    lengths: tuple[int, ...]
    shared: int

    @property
    def num_tokens(self) -> int:
        """Tokens credited for the whole."""
        return sum(self.lengths)

    @property
    def sha256(self) -> str:
        """Hash of the texts."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()

    def flops(self, work: Work, *, reused: bool) -> int:
        """Floating-point operations of the whole; `reused` when the instruction was run before, once."""
        if reused:
            return work.of((length - self.shared for length in self.lengths), shared=self.shared)
        return work.of(self.lengths)


Maker = Callable[[TextPool, Tokenizer, int], Workload]


def _queries(pool: TextPool, tokenizer: Tokenizer, num_texts: int) -> Workload:
    return _workload("queries", _short(pool, tokenizer, num_texts), tokenizer, instructed=True)


def _mixed(pool: TextPool, tokenizer: Tokenizer, num_texts: int) -> Workload:
    rng = random.Random(_SEED)
    lengths = [
        min(max(round(rng.lognormvariate(math.log(_MEDIAN), _SPREAD)), _SHORTEST), _LONGEST) for _ in range(num_texts)
    ]
    return _workload("mixed", _cut(pool.long, lengths, tokenizer), tokenizer)


def _documents(pool: TextPool, tokenizer: Tokenizer, num_texts: int) -> Workload:
    longest = MAX_TOKENS - tokenizer.backend.num_special_tokens_to_add(is_pair=False)
    count = math.ceil(num_texts / _DOCUMENT_SHARE)
    joined = joined_to(pool.long, longest * _CHARACTERS_PER_TOKEN)
    return _workload("documents", _cut(joined, [longest] * count, tokenizer), tokenizer)


def _single(pool: TextPool, tokenizer: Tokenizer, num_texts: int) -> Workload:
    texts = _short(pool, tokenizer, min(num_texts, _MAX_SINGLE))
    return _workload("single", texts, tokenizer, one_by_one=True)


WORKLOADS: dict[str, Maker] = {"queries": _queries, "mixed": _mixed, "documents": _documents, "single": _single}


def make_workloads(names: Sequence[str], pool: TextPool, tokenizer: Tokenizer, *, num_texts: int) -> list[Workload]:
    """Make workloads by name.

    Args:
        names: Keys of `WORKLOADS`.
        pool: Texts to cut from.
        tokenizer: The model's, which counts.
        num_texts: Texts of `mixed` and `queries`; `documents` takes a sixteenth, `single` at most 40.

    Raises:
        InputError: the pool does not hold enough texts.
    """
    return [WORKLOADS[name](pool, tokenizer, num_texts) for name in names]


def _workload(
    name: str, texts: Sequence[str], tokenizer: Tokenizer, *, instructed: bool = False, one_by_one: bool = False
) -> Workload:
    tokenized = tokenizer.tokenize(texts, prompt=INSTRUCTION if instructed else "")
    shared = min(tokenized.prefix_lengths) if instructed else 0
    return Workload(name, tuple(texts), instructed, one_by_one, tuple(tokenized.lengths), shared)


def _short(pool: TextPool, tokenizer: Tokenizer, num_texts: int) -> list[str]:
    """The first texts of about twelve tokens."""
    chosen = [text for text in pool.short if len(tokenizer.backend.encode(text).ids) in _QUERY_TOKENS][:num_texts]
    if len(chosen) < num_texts:
        raise InputError(f"{pool.source}: {len(chosen)} texts of 8 to 16 tokens", expected=f"{num_texts}")
    return chosen


def _cut(texts: Sequence[str], lengths: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """Cut texts to these lengths in tokens; each text is used once, and one that is too short is passed over."""
    cut: dict[str, None] = {}
    upcoming = iter(texts)
    for length in lengths:
        while True:
            text = next(upcoming, None)
            if text is None:
                raise InputError(f"{len(cut)} texts are long enough", expected=f"{len(lengths)}", do="ask for fewer")
            offsets = tokenizer.backend.encode(text, add_special_tokens=False).offsets
            if len(offsets) >= length and (piece := text[: offsets[length - 1][1]].strip()) not in cut:
                cut[piece] = None
                break
    return list(cut)
