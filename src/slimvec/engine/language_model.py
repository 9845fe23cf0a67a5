"""The language model that an embedder comes with: likelihoods and text, from the weights that it was trained from.

An embedding model that was trained as an adapter keeps its language: the adapter is on for vectors and off for
language. On transformers both share one set of weights. The fused decoder folds the adapter into the weights it packs,
so the language model packs the base's beside them, when it is first asked for.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch

from slimvec.engine.fused import FusedDecoder
from slimvec.engine.likelihood import LikelihoodPrompt, LikelihoodRun, Likelihoods, StateStore, tokenise
from slimvec.engine.loading import EngineName, LoadedEngine, load_engine
from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import WithoutAdapter
from slimvec.model.architectures import longest_text
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.causal_lm import CausalLM, open_language_model
from slimvec.model.lm_head import LMHead, head_of, read_lm_head
from slimvec.model.opening import OpenedModel
from slimvec.model.sampling import Writing, read_writing
from slimvec.progress import tell_nobody
from slimvec.text.tokenizer import Tokenizer


class LanguageModel:
    """Likelihoods of queries, and text. Made by `Embedder.language_model`.

    Args:
        model: Backbone and head.
        tokenizer: The language model's, limited to what it has positions for.
        max_document_tokens: Where documents are cut unless another limit is asked for.
        writing: How it writes.
        lock: Held while it computes.

    Attributes:
        causal_lm: Backbone and head.
        tokenizer: As given.
        max_document_tokens: As given.
        lock: Held while it computes.
    """

    def __init__(
        self,
        model: CausalLM,
        tokenizer: Tokenizer,
        *,
        max_document_tokens: int,
        writing: Writing,
        lock: AbstractContextManager[bool],
    ) -> None:
        self.causal_lm, self.tokenizer, self.max_document_tokens = model, tokenizer, max_document_tokens
        self.lock = lock
        self._writing, self._store = writing, StateStore(0)

    def keep_documents(self, max_bytes: int) -> None:
        """Keep the states of documents whose likelihoods are asked for, so that the next query costs its own tokens.

        Args:
            max_bytes: Room for them; 0 lets go of all. A token takes 46 kB for SmolLM2-135M in float32, so a gigabyte
                holds 170 documents of 128 tokens.
        """
        self._store = StateStore(max_bytes)

    def log_likelihood(
        self,
        queries: Sequence[str],
        documents: Sequence[str],
        *,
        pairs: Sequence[tuple[int, int]] | None = None,
        normalise: bool = True,
        prompt: LikelihoodPrompt | None = None,
        max_document_tokens: int | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Likelihoods:
        """Give log p(query | document).

        Args:
            queries: Q texts.
            documents: N texts.
            pairs: Numbers (query, document) of those that are wanted; default every query with every document.
            normalise: Divide by the number of the query's tokens, so that long and short queries can be compared.
            prompt: What stands around a document.
            max_document_tokens: Where documents are cut; default as for vectors.
            on_progress: Told how many more pairs are done.

        Raises:
            InputError: an empty text, no pairs, or a query that leaves no room for a document.
        """
        wanted = [(q, d) for q in range(len(queries)) for d in range(len(documents))] if pairs is None else list(pairs)
        if not wanted:
            raise InputError("no pairs of queries and documents", expected="at least one")
        tokens = tokenise(
            self.tokenizer,
            queries,
            documents,
            prompt=prompt or LikelihoodPrompt(),
            max_document_tokens=max_document_tokens or self.max_document_tokens,
        )
        run = LikelihoodRun(self.causal_lm, self._store, on_progress or tell_nobody)
        with self.lock:
            values = run.sums(tokens, wanted)
        if normalise:
            values /= np.array([len(tokens.queries[query]) for query, _ in wanted], dtype=np.float32)
        num_tokens = sum(len(tokens.queries[query]) + len(tokens.documents[document]) for query, document in wanted)
        shaped = values.reshape(len(queries), len(documents)) if pairs is None else values
        return Likelihoods(shaped, num_tokens, run.num_computed, tokens.num_truncated)

    def generate(self, text: str, *, max_new_tokens: int = 64, temperature: float = 0.0, seed: int = 0) -> str:
        """Go on with a text.

        Args:
            text: What stands there.
            max_new_tokens: Longest continuation.
            temperature: 0 takes the likeliest token each time; else tokens are drawn.
            seed: Random seed for the drawing.

        Returns:
            The continuation, without special tokens.

        Raises:
            InputError: an empty text, or one that leaves no room.
        """
        tokens = self.tokenizer.tokenize([text]).sequences[0]
        tokens = tokens[: len(tokens) - self.tokenizer.num_closing]
        room = min(max_new_tokens, self.tokenizer.max_tokens - len(tokens))
        if room < 1:
            raise InputError(f"a text of {len(tokens):,} tokens", expected=f"under {self.tokenizer.max_tokens:,}")
        sampling = self._writing.at(temperature)
        with self.lock:
            new = self.causal_lm.generate(
                tokens, max_new_tokens=room, ends=self._writing.ends, sampling=sampling, seed=seed
            )
        return str(self.tokenizer.backend.decode(new, skip_special_tokens=True))


def load_language_model(
    opened: OpenedModel | None, engine: LoadedEngine, lock: AbstractContextManager[bool]
) -> LanguageModel:
    """Load the language model of an opened embedding model, sharing its weights where they are the same.

    Args:
        opened: The embedding model; None for one in memory.
        engine: Runs it.
        lock: Held while it computes.

    Raises:
        ModelError: it has none: an encoder, a bidirectional model, one in memory, or one whose base is not known.
        FetchError: its base has to be fetched and cannot be.
    """
    if opened is None:
        raise ModelError("the language model of a model in memory", expected="one in a folder", do="save it first")
    language = open_language_model(opened)
    return LanguageModel(
        _share(opened, language, engine) or _load(language, engine),
        _unlimited(language.tokenizer(), language),
        max_document_tokens=opened.spec.max_tokens,
        writing=read_writing(language.weights),
        lock=lock,
    )


def _share(opened: OpenedModel, language: OpenedModel, engine: LoadedEngine) -> CausalLM | None:
    """Give the language model on the backbone that embeds; None where that has other weights or is calibrated."""
    backbone, stored = engine.backbone, read_lm_head(language)
    if opened.spec.recency:
        return None
    if language is opened and isinstance(backbone, FusedDecoder):
        table = backbone.embedding if stored is None else stored
        return CausalLM(backbone, LMHead(lambda: table))
    if isinstance(backbone, TransformersBackbone):
        if language is opened:
            return CausalLM(backbone, head_of(language, backbone))
        if opened.is_adapter:
            return CausalLM(WithoutAdapter(backbone), head_of(language, backbone))
    return None


def _load(language: OpenedModel, engine: LoadedEngine) -> CausalLM:
    """Load weights of the language model's own, where the embedding model runs and in its dtype."""
    plain = replace(language, spec=language.spec.replace(recency=0.0))
    dtype = None if engine.dtype == torch.int8 else engine.dtype
    name: EngineName = "auto" if engine.name.startswith("fused") else "transformers"
    loaded = load_engine(plain, dtype=dtype, device=engine.device, engine=name)
    shared = _share(plain, plain, loaded)
    assert shared is not None
    return shared


def _unlimited(tokenizer: Tokenizer, language: OpenedModel) -> Tokenizer:
    """Limit a tokenizer to what the model has positions for, and not to what it embeds."""
    limit = longest_text(language.config)
    return Tokenizer(tokenizer.backend, max_tokens=limit, vocabulary=language.vocabulary)
