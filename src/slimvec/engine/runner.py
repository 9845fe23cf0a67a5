"""How an embedder gets through its texts: blocks, duplicates once, shared instructions once, tokenising ahead."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.engine.bad_texts import bad_rows, unreadable
from slimvec.engine.executor import Executor
from slimvec.engine.overlap import Fetch, fetch_later, one_behind
from slimvec.errors import InputError
from slimvec.model.head import finish
from slimvec.model.spec import Pooling
from slimvec.text.batch import plan_batches
from slimvec.text.embeddings import BadText, Embeddings, OnProgress, Vectors
from slimvec.text.tokenizer import TokenizedTexts

BLOCK_TEXTS = 8192
"""Texts of a block: enough to sort by length well."""
BLOCK_CHARACTERS = 4_000_000
"""Characters of a block, so that long texts do not pile up in memory."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Texts that are ready to run: the different ones, and where each text finds its own among them.

    Attributes:
        texts: All of them.
        rows: Numbers of the texts that could be tokenised.
        tokenized: The different ones among those.
        places: By row, the number of its tokens in `tokenized`.
        bad: The texts that could not.
    """

    texts: list[str]
    rows: NDArray[np.int64]
    tokenized: TokenizedTexts
    places: NDArray[np.int64]
    bad: tuple[BadText, ...]


class Runner:
    """Runs texts through an engine.

    Args:
        executor: Runs batches.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor, self._tokenizer, self._spec = executor, executor.tokenizer, executor.spec

    def stream(
        self, texts: Iterable[str], *, prompt: str, dims: int | None, on_progress: OnProgress, mark: bool = False
    ) -> Iterator[Embeddings]:
        """Embed blocks of texts; the next block is tokenised while this one is computed. `mark`: as below."""
        settings: dict[str, Any] = {"prompt": prompt, "dims": dims, "on_progress": on_progress, "mark": mark}
        for blocks in self.stream_poolings(texts, (self._spec.pooling,), **settings):
            yield blocks[0]

    def stream_poolings(
        self,
        texts: Iterable[str],
        poolings: tuple[Pooling, ...],
        *,
        prompt: str,
        dims: int | None,
        on_progress: OnProgress,
        mark: bool = False,
    ) -> Iterator[list[Embeddings]]:
        """Embed blocks of texts in several poolings of the same states; each block as often as there are poolings.

        Texts whose vectors are NaN or infinite are named in each block's `bad`; with `mark` those without tokens too,
        which are an InputError else.
        """
        blocks = _blocks(texts)
        with ThreadPoolExecutor(max_workers=1) as pool_of_one:

            def prepare() -> "Future[_Block] | None":
                ready = next(blocks, None)
                return None if ready is None else pool_of_one.submit(self._prepare, ready[1], prompt, ready[0], mark)

            upcoming = prepare()
            while upcoming is not None:
                block = upcoming.result()
                upcoming = prepare()
                yield self._run(block, poolings, prompt, dims, on_progress)

    def _prepare(self, texts: list[str], prompt: str, first: int, mark: bool) -> _Block:
        try:
            return _Block(texts, np.arange(len(texts)), *self._tokenize(texts, prompt, first), ())
        except InputError:
            if not mark:
                raise
        bad = unreadable(self._tokenizer, texts, prompt)
        rows = np.delete(np.arange(len(texts)), [text.number for text in bad])
        return _Block(texts, rows, *self._tokenize([texts[row] for row in rows], prompt, first), bad)

    def _tokenize(self, texts: list[str], prompt: str, first: int) -> tuple[TokenizedTexts, NDArray[np.int64]]:
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(text, len(numbers)) if isinstance(text, str) else 0 for text in texts]
        if len(numbers) == len(texts):
            return self._tokenizer.tokenize(texts, prompt=prompt, first=first), np.arange(len(texts))
        self._tokenizer.check(texts, first=first)
        try:
            return self._tokenizer.tokenize(list(numbers), prompt=prompt), np.asarray(places)
        except InputError:
            self._tokenizer.tokenize(texts, prompt=prompt, first=first)  # raises with the number the caller knows
            raise

    def _run(
        self, block: _Block, poolings: tuple[Pooling, ...], prompt: str, dims: int | None, on_progress: OnProgress
    ) -> list[Embeddings]:
        tokenized = block.tokenized
        repeats = np.bincount(block.places, minlength=len(tokenized.sequences))
        executor = self._executor
        prefix, num_computed = executor.shared_prefix(prompt, poolings, tokenized.prefix_lengths)
        behind = [prefix is not None and shared == prefix.length for shared in tokenized.prefix_lengths]
        lengths = [n - prefix.length if prefix and own else n for n, own in zip(tokenized.lengths, behind, strict=True)]
        dims = dims or self._spec.dims or self._spec.full_width(executor.width)
        vectors = np.empty((len(poolings), len(lengths), dims), dtype=np.float32)
        budget = executor.token_budget(sum(lengths))

        def issue() -> Iterator[tuple[list[int], Fetch]]:
            for shared in (True, False):
                members = [number for number, own in enumerate(behind) if own == shared]
                for batch in plan_batches([lengths[number] for number in members], token_budget=budget):
                    chosen = [members[index] for index in batch]
                    pooled = executor.pool(tokenized, chosen, poolings, prefix if shared else None)
                    yield chosen, fetch_later(self._finish(pooled, dims))

        for chosen, fetch in one_behind(issue(), ahead=0 if executor.engine.device.type == "cpu" else 1):
            vectors[:, chosen] = fetch()
            on_progress(int(repeats[chosen].sum()))
        on_progress(len(block.bad))
        return [_spread(pooled, block, num_computed + sum(lengths)) for pooled in vectors]

    def _finish(self, pooled: Tensor, dims: int) -> Tensor:
        with torch.inference_mode():
            return finish(pooled, self._executor.head, self._spec, dims)


def _spread(vectors: Vectors, block: _Block, num_computed: int) -> Embeddings:
    """Give every text of a block the vector [D] of its tokens, or a row of NaN."""
    rows, num_texts = block.rows, len(block.texts)
    found = np.full((num_texts, vectors.shape[1]), np.nan, dtype=np.float32)
    tokens, truncated = np.zeros(num_texts, dtype=np.int32), np.zeros(num_texts, dtype=np.int8)
    found[rows] = vectors[block.places]
    tokens[rows] = np.asarray(block.tokenized.lengths, dtype=np.int32)[block.places]
    truncated[rows] = np.asarray(block.tokenized.truncated, dtype=np.int8)[block.places]
    without = bad_rows(found[rows], [block.texts[row] for row in rows])
    bad = (*block.bad, *(replace(text, number=int(rows[text.number])) for text in without))
    found[[text.number for text in bad]] = np.nan
    return Embeddings(found, tokens, truncated, num_computed, tuple(sorted(bad, key=lambda text: text.number)))


def _blocks(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Cut a stream of texts into blocks, each with the number of its first text."""
    first, block, characters = 0, [], 0
    for text in texts:
        block.append(text)
        characters += len(text) if isinstance(text, str) else 0
        if len(block) == BLOCK_TEXTS or characters >= BLOCK_CHARACTERS:
            yield first, block
            first, block, characters = first + len(block), [], 0
    if block:
        yield first, block
