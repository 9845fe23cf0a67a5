"""The likelihood of a query given a document, log p(query | document), by a language model (UPR, arXiv 2204.07496).

    document prompt | document | question prompt || query        scored is what stands behind ||

A document is run once. Several queries of one document are appended to its keys and values; a document with one query
is run with it in one piece, packed among others. Only the queries' tokens go through the head. Document and query are
tokenised apart, so that a document has the same tokens whatever is asked.

Legend: Q queries, N documents, P pairs, H width of a state.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.errors import InputError
from slimvec.model.causal_lm import CausalLM
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.tokenizer import Tokenizer, num_common

_BATCH_TOKENS = 2048
"""Tokens run at once: keys and values of so many are 90 MB for SmolLM2-135M in float32."""


@dataclass(frozen=True, slots=True)
class LikelihoodPrompt:
    r"""What stands around a document.

    Attributes:
        before: In front of it.
        behind: Between it and the query. It ends without a space: the query follows behind one.
    """

    before: str = "Passage: "
    behind: str = "\nQuestion:"


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """Likelihoods of queries given documents.

    Attributes:
        values: [Q, N] float32, or [P] where pairs were asked for: log p(query | document), divided by the query's
            tokens where normalised.
        num_tokens: Tokens of the pairs.
        num_computed: Tokens that were run: of a document with several queries, or with stored states, fewer.
        num_truncated: Documents that were cut off.
    """

    values: NDArray[np.float32]
    num_tokens: int
    num_computed: int
    num_truncated: int


@dataclass(frozen=True, eq=False)
class DocumentState:
    """A document that has been run.

    Attributes:
        kv: Keys and values of its tokens, prompt included.
        last: [H], its last state, which predicts the first token of a query.
    """

    kv: KeyValues
    last: Tensor

    @property
    def num_bytes(self) -> int:
        """Memory it takes."""
        return sum(tensor.nbytes for tensor in (self.kv.keys, self.kv.values, self.last))


class StateStore:
    """Documents that have been run, as many as fit; the one that was not asked for longest goes first.

    Args:
        max_bytes: Room for them; 0 keeps none.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self._used = max_bytes, 0
        self._states: OrderedDict[tuple[int, ...], DocumentState] = OrderedDict()

    def __len__(self) -> int:
        """Count the documents."""
        return len(self._states)

    def get(self, tokens: Sequence[int]) -> DocumentState | None:
        """Give a document's state; None where it is not kept."""
        key = tuple(tokens)
        if key in self._states:
            self._states.move_to_end(key)
        return self._states.get(key)

    def put(self, tokens: Sequence[int], state: DocumentState) -> None:
        """Keep a document's state, unless it alone is too large."""
        if state.num_bytes > self.max_bytes or tuple(tokens) in self._states:
            return
        self._states[tuple(tokens)] = state
        self._used += state.num_bytes
        while self._used > self.max_bytes:
            self._used -= self._states.popitem(last=False)[1].num_bytes


@dataclass(frozen=True, eq=False)
class LikelihoodTokens:
    """Documents and queries as they are run.

    Attributes:
        documents: N token sequences, prompts included.
        queries: Q token sequences.
        num_truncated: Documents that were cut off.
    """

    documents: list[list[int]]
    queries: list[list[int]]
    num_truncated: int


def tokenise(
    tokenizer: Tokenizer,
    queries: Sequence[str],
    documents: Sequence[str],
    *,
    prompt: LikelihoodPrompt,
    max_document_tokens: int,
) -> LikelihoodTokens:
    """Tokenise documents with their prompts, and queries to stand behind them.

    Args:
        tokenizer: The language model's; its `max_tokens` bounds a document with its longest query.
        queries: None may be empty.
        documents: None may be empty.
        prompt: What stands around a document.
        max_document_tokens: Documents are cut to so many, what stands in front of them included.

    Raises:
        InputError: an empty text, or a query that leaves a document no room.
    """
    tokenizer.check(queries)
    tokenizer.check(documents)
    backend = tokenizer.backend
    behind = backend.encode(prompt.behind, add_special_tokens=False).ids
    asked = [_behind(tokenizer, prompt.behind, behind, query) for query in queries]
    room = tokenizer.max_tokens - len(behind) - max((len(query) for query in asked), default=0)
    limit = min(max_document_tokens, room)
    if limit < 1:
        raise _too_long(tokenizer)
    sequences, num_truncated = [], 0
    for encoding in backend.encode_batch_fast([prompt.before + document for document in documents]):
        closing = tokenizer.num_closing
        ids = encoding.ids[: len(encoding.ids) - closing]
        num_truncated += len(ids) > limit or bool(encoding.overflowing)
        sequences.append(ids[:limit] + behind)
    return LikelihoodTokens(sequences, asked, num_truncated)


def _behind(tokenizer: Tokenizer, prompt: str, prompt_ids: list[int], query: str) -> list[int]:
    """Tokenise a query as it reads behind a prompt."""
    whole = tokenizer.backend.encode(f"{prompt} {query.strip()}", add_special_tokens=False)
    if whole.overflowing:
        raise _too_long(tokenizer)
    if num_common(prompt_ids, whole.ids) == len(prompt_ids):
        return list(whole.ids[len(prompt_ids) :])
    alone = tokenizer.backend.encode(f" {query.strip()}", add_special_tokens=False)
    return list(alone.ids)  # the border lies within a token


def _too_long(tokenizer: Tokenizer) -> InputError:
    """Say that a query leaves a document no room."""
    return InputError(
        "a query that leaves a document no room",
        expected=f"fewer tokens than the {tokenizer.max_tokens:,} that document and query may have together",
    )


class LikelihoodRun:
    """Runs pairs of tokenised documents and queries.

    Args:
        model: The language model.
        store: States of documents, kept from run to run.
        on_progress: Told how many more pairs are done.
    """

    def __init__(self, model: CausalLM, store: StateStore, on_progress: Callable[[int], None]) -> None:
        self._model, self._store, self._on_progress = model, store, on_progress
        self._fused = model.backbone if isinstance(model.backbone, FusedDecoder) else None
        self.num_computed = 0

    def sums(self, tokens: LikelihoodTokens, pairs: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Give log p(query | document) of pairs (query, document): [P]."""
        found = np.empty(len(pairs), dtype=np.float32)
        by_document: dict[int, list[int]] = defaultdict(list)
        for number, (_, document) in enumerate(pairs):
            by_document[document].append(number)
        whole, appended = [], {}
        for document, numbers in by_document.items():
            if self._fused is None or (len(numbers) == 1 and not self._keeps(tokens.documents[document])):
                whole += numbers
            else:
                appended[document] = numbers
        self._run_whole(tokens, pairs, whole, found)
        self._run_appended(tokens, pairs, appended, found)
        return found

    def _keeps(self, document: list[int]) -> bool:
        """Whether a document's state is kept, or is to be."""
        return self._store.max_bytes > 0 or self._store.get(document) is not None

    def _run_whole(
        self,
        tokens: LikelihoodTokens,
        pairs: Sequence[tuple[int, int]],
        numbers: Sequence[int],
        found: NDArray[np.float32],
    ) -> None:
        """Run documents with their query behind them, in one piece."""
        texts = [(tokens.documents[document], tokens.queries[query]) for query, document in (pairs[n] for n in numbers)]
        lengths = [len(document) + len(query) - 1 for document, query in texts]
        for batch in plan_batches(lengths, token_budget=_BATCH_TOKENS):
            chosen = [texts[index] for index in batch]
            packed = PackedBatch.from_sequences([document + query[:-1] for document, query in chosen])
            with torch.inference_mode():
                states = self._model.backbone(packed)
            ends = np.cumsum([lengths[index] for index in batch])
            rows = [torch.arange(end - len(query), end) for end, (_, query) in zip(ends, chosen, strict=True)]
            self.num_computed += packed.num_tokens
            read = states[torch.cat(rows).to(states.device)]
            self._write(read, [query for _, query in chosen], [numbers[index] for index in batch], found)

    def _run_appended(
        self,
        tokens: LikelihoodTokens,
        pairs: Sequence[tuple[int, int]],
        by_document: dict[int, list[int]],
        found: NDArray[np.float32],
    ) -> None:
        """Run documents once, and their queries behind them."""
        documents = list(by_document)
        # One document is whole within a batch, so its queries' states are read before its keys and values are let go.
        for batch in plan_batches([len(tokens.documents[d]) for d in documents], token_budget=_BATCH_TOKENS):
            chosen = [documents[index] for index in batch]
            states: list[Tensor] = []
            queries: list[list[int]] = []
            numbers: list[int] = []
            for document, state in zip(chosen, self._states([tokens.documents[d] for d in chosen]), strict=True):
                asked = [tokens.queries[pairs[number][0]] for number in by_document[document]]
                states.append(self._append(state, asked))
                queries += asked
                numbers += by_document[document]
            self._write(torch.cat(states), queries, numbers, found)

    def _states(self, documents: Sequence[list[int]]) -> list[DocumentState]:
        """Give the states of documents, run in one batch as far as they are not kept."""
        assert self._fused is not None
        held = [self._store.get(document) for document in documents]
        missing = [number for number, state in enumerate(held) if state is None]
        if missing:
            batch = PackedBatch.from_sequences([documents[number] for number in missing])
            states, kv = self._fused.forward(batch, return_kv=True)
            self.num_computed += batch.num_tokens
            starts = batch.cu_seqlens.tolist()
            for number, start, end in zip(missing, starts, starts[1:], strict=False):
                own = KeyValues(kv.keys[:, start:end], kv.values[:, start:end])
                state = DocumentState(own, states[end - 1])
                if self._store.max_bytes:
                    state = DocumentState(KeyValues(own.keys.clone(), own.values.clone()), states[end - 1].clone())
                    self._store.put(documents[number], state)
                held[number] = state
        return [state for state in held if state is not None]

    def _append(self, state: DocumentState, queries: Sequence[list[int]]) -> Tensor:
        """Run queries behind a document: the states that predict their tokens, query by query."""
        assert self._fused is not None
        longer = [query[:-1] for query in queries if len(query) > 1]
        if not longer:
            return state.last.expand(len(queries), -1)
        own = self._fused.forward(PackedBatch.from_sequences(longer), state.kv)
        self.num_computed += len(own)
        parts, start = [], 0
        for query in queries:
            parts += [state.last[None], own[start : start + len(query) - 1]]
            start += len(query) - 1
        return torch.cat(parts)

    def _write(
        self, states: Tensor, queries: Sequence[list[int]], numbers: Sequence[int], found: NDArray[np.float32]
    ) -> None:
        """Read the log-probabilities of queries off their states, and write their sums where they belong."""
        targets = torch.tensor([token for query in queries for token in query])
        logs = self._model.head.log_probabilities(states, targets.to(states.device))
        parts = torch.split(logs.double().cpu(), [len(query) for query in queries])
        found[list(numbers)] = [float(part.sum()) for part in parts]
        self._on_progress(len(numbers))
