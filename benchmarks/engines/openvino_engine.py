"""OpenVINO directly: the backbone converted with its pooling, bfloat16, batches sorted by length and hardly padded."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.base import Model, Run, built_once, unit, versions

_BATCH_TOKENS = 2048
"""Tokens of a batch, padding included; not tuned."""


class OpenVinoDirect:
    """A graph from token ids to pooled vectors, run with as many threads as there are cores."""

    def __init__(self) -> None:
        self._compiled: Any = None
        self._tokenizer: Any = None
        self._instruction = ""

    def prepare(self, model: Model) -> None:
        """Convert the float32 weights, once."""
        target = model.cached("openvino-direct")
        if target.is_dir():
            return
        import openvino

        with built_once(target) as building:
            openvino.save_model(_convert(model.folder), building / "model.xml", compress_to_fp16=False)

    def load(self, model: Model) -> Mapping[str, str]:
        """Compile for the CPU with the hint to compute in bfloat16."""
        import openvino
        from tokenizers import Tokenizer

        core = openvino.Core()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if native else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": model.num_threads,
        }
        self._compiled = core.compile_model(model.cached("openvino-direct") / "model.xml", "CPU", hints)
        self._tokenizer = Tokenizer.from_file(str(Path(model.folder) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(model.max_tokens)
        self._instruction = model.instruction
        return {"dtype": "bfloat16" if native else "float32", **versions("openvino")}

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Tokenise, sort, pad little, run, put back in order."""
        prompt = self._instruction if instructed else ""
        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        sequences = [encoding.ids for encoding in encodings]
        vectors: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(sequences)
        for members in _batches([len(sequence) for sequence in sequences]):
            ids, mask = _pad([sequences[number] for number in members])
            for number, vector in zip(members, self._compiled([ids, mask])[0], strict=True):
                vectors[number] = vector
        return Run(unit(np.stack(vectors)))


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


def _pad(sequences: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both [B, longest]."""
    shape = len(sequences), max(map(len, sequences))
    ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return ids, mask


def _convert(folder: str) -> Any:
    """Trace backbone and pooling into a graph with free batch and length."""
    import openvino
    import torch
    from transformers import AutoModel

    backbone = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    ids = torch.randint(1, 100, (2, 12))
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[0, 8:] = 0
    with torch.inference_mode():
        graph = openvino.convert_model(
            _pooled(backbone), example_input=(ids, mask), input=[([-1, -1], np.int64), ([-1, -1], np.int64)]
        )
    return graph


def _pooled(backbone: Any) -> Any:
    """The backbone with a mask made of plain operations (tracing transformers' own fails) and mean pooling."""
    import torch
    from torch import Tensor, nn

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

    return Pooled()
