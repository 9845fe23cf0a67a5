"""What engines that run a graph share: backbone and pooling as one module, sorted batches that are hardly padded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.base import Model, Run, Vectors, unit

_BATCH_TOKENS = 2048
"""Tokens of a batch, padding included; not tuned."""
Ids = NDArray[np.int64]


class Padded:
    """Texts to padded batches to vectors; a subclass runs the batches."""

    def __init__(self) -> None:
        self._tokenizer: Any = None
        self._instruction = ""

    def run(self, ids: Ids, mask: Ids) -> Vectors:
        """Give the pooled vectors of a batch, [B, H]; `ids` and `mask` are [B, longest]."""
        raise NotImplementedError

    def read_tokenizer(self, model: Model) -> None:
        """Read the tokenizer of a model, and its instruction."""
        self._tokenizer, self._instruction = tokenizer_of(model), model.instruction

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Tokenise, sort, pad little, run, put back in order."""
        prompt = self._instruction if instructed else ""
        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        sequences = [encoding.ids for encoding in encodings]
        vectors: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(sequences)
        for members in _batches([len(sequence) for sequence in sequences]):
            ids, mask = pad([sequences[number] for number in members])
            for number, vector in zip(members, self.run(ids, mask), strict=True):
                vectors[number] = vector
        return Run(unit(np.stack(vectors)))


def tokenizer_of(model: Model) -> Any:
    """Read the tokenizer of a model, limited and without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model.folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_tokens)
    return tokenizer


def calibration_batches(model: Model) -> list[tuple[Ids, Ids]]:
    """Give the texts on which slimvec calibrates its own int8, each as a batch."""
    from slimvec.engine.int8_texts import LONG_TEXTS
    from slimvec.model.golden import TEXTS

    tokenizer = tokenizer_of(model)
    return [pad([tokenizer.encode(text).ids]) for text in (*TEXTS, *LONG_TEXTS)]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Cut the texts, longest first, into batches of about the same padded size."""
    members: list[int] = []
    longest = 0
    for number in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        if members and longest * (len(members) + 1) > _BATCH_TOKENS:
            yield members
            members = []
        longest = longest if members else lengths[number]
        members.append(number)
    yield members


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Ids and mask, both [B, longest]."""
    shape = len(sequences), max(map(len, sequences))
    ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return ids, mask


def pooled_model(folder: str) -> tuple[Any, tuple[Any, Any]]:
    """Give backbone and mean pooling as one module in float32, and an example of what it takes.

    The mask is made of plain operations: tracing transformers' own fails.
    """
    import torch
    from torch import Tensor, nn
    from transformers import AutoModel

    backbone = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            place = torch.arange(ids.shape[1])
            seen = place[None, :] <= place[:, None]
            allowed = seen[None, None] & (mask[:, None, None, :] > 0)
            scores = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
            masks: Any = scores
            if backbone.config.model_type == "gemma3_text":  # texts are no longer than its window
                masks = {"full_attention": scores, "sliding_attention": scores}
            states = self.backbone(
                input_ids=ids, attention_mask=masks, position_ids=place[None], use_cache=False
            ).last_hidden_state
            weights = mask[..., None].to(states.dtype)
            pooled: Tensor = (states * weights).sum(dim=1) / weights.sum(dim=1)
            return pooled

    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[0, 8:] = 0
    return Pooled(), (torch.randint(1, 100, (2, 12)), mask)
