"""Parts of tiny embedders, on the fused decoder or on transformers, and the plain path to hold every result against."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tokenizers
import torch
from hypothesis import strategies as st
from tokenizers import models

from slimvec.engine.fused import FusedDecoder
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.head import Head, finish
from slimvec.model.pooling import pool
from slimvec.model.protocols import Backbone
from slimvec.model.spec import AttentionMode, ModelSpec, Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.prompts import Prompts, Role
from slimvec.text.tokenizer import Tokenizer
from tests.tiny import bracketing_backend, hf_model, tokenizer_backend

PROMPTS = Prompts(query="find: ", document="")
POOLINGS = (
    Pooling(),
    Pooling(include_prompt=False),
    Pooling(mode="weighted"),
    Pooling(mode="beta", beta=2.5, include_prompt=False),
    Pooling(mode="beta", beta=float("inf")),
    Pooling(mode="last"),
)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=25).filter(lambda text: text.strip())


@dataclass
class Parts:
    """What `HasParts` asks for."""

    backbone: Backbone
    tokenizer: Tokenizer
    spec: ModelSpec

    @property
    def head(self) -> Head:
        return Head(self.spec.head, 32)

    @property
    def dims(self) -> int:
        return self.spec.dims or 32

    def for_role(self, _role: Role) -> "Parts":
        return self

    def embed(self, text: str, prompt: str = "") -> np.ndarray:
        """The plain path: one text, one vector."""
        tokenized = self.tokenizer.tokenize([text], prompt=prompt)
        return self.embed_ids(tokenized.sequences[0], tokenized.prefix_lengths[0])

    def embed_ids(self, ids: list[int], prefix_length: int = 0, dims: int | None = None) -> np.ndarray:
        batch = PackedBatch.from_sequences([ids], [prefix_length])
        with torch.inference_mode():
            return finish(pool(self.backbone(batch), batch, self.spec.pooling), self.head, self.spec, dims)[0].numpy()


def fused(architecture: str = "llama", *, seed: int = 0, backend: Any = None, **settings: Any) -> Parts:
    """A causal embedder on the fused decoder."""
    spec = ModelSpec(**{"prompts": PROMPTS, "max_tokens": 240, **settings})
    tokenizer = Tokenizer(backend or tokenizer_backend(), max_tokens=spec.max_tokens)
    return Parts(decoder(architecture, seed), tokenizer, spec)


@cache
def decoder(architecture: str, seed: int) -> FusedDecoder:
    return FusedDecoder.from_backbone(
        hf_model(architecture, seed=seed), causal=True, dtype=torch.float32, kernel="torch"
    )


def plain(
    architecture: str = "llama", mode: AttentionMode = "causal", *, backend: Any = None, **settings: Any
) -> Parts:
    """An embedder on transformers; encoders get the tokenizer that brackets texts."""
    spec = ModelSpec(**{"attention": mode, "prompts": PROMPTS, "max_tokens": 240, **settings})
    backend = backend or (bracketing_backend() if architecture == "bert" else tokenizer_backend())
    return Parts(backbone(architecture, mode), Tokenizer(backend, max_tokens=spec.max_tokens), spec)


@cache
def backbone(architecture: str, mode: AttentionMode) -> TransformersBackbone:
    return TransformersBackbone(hf_model(architecture), mode)


@cache
def merging_backend(num_merges: int = 6) -> tokenizers.Tokenizer:
    """The byte tokenizer with merges across almost anything, so that more text changes the last tokens."""
    merges = [("a", "b"), ("ab", "c"), ("b", "a"), ("Ġ", "a"), (":", "Ġ"), ("a", "a")][:num_merges]
    vocabulary = tokenizer_backend().get_vocab()
    vocabulary |= {"".join(pair): len(vocabulary) + number for number, pair in enumerate(merges)}
    backend = tokenizers.Tokenizer.from_str(tokenizer_backend().to_str())
    backend.model = models.BPE(vocabulary, merges=merges, unk_token="<unk>")
    return backend
