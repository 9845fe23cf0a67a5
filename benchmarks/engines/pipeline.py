"""The feature-extraction pipeline of transformers, one text after another as it comes, averaged over tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.engines.base import Model, Run, unit, versions


class Pipeline:
    """`pipeline("feature-extraction")`: float32, no batching, as in its documentation."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._instruction = ""

    def prepare(self, model: Model) -> None:
        """Nothing to convert."""

    def load(self, model: Model) -> Mapping[str, str]:
        """Load model and tokenizer."""
        from transformers import pipeline

        self._instruction = model.instruction
        options = {"truncation": True, "max_length": model.max_tokens}
        self._pipeline = pipeline("feature-extraction", model=model.folder, device="cpu", tokenize_kwargs=options)
        return {
            "dtype": str(self._pipeline.model.dtype).removeprefix("torch."),
            **versions("transformers", "torch"),
        }

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Average the states of each text."""
        prompt = self._instruction if instructed else ""
        outputs = self._pipeline([prompt + text for text in texts], return_tensors=True)
        pooled = [output[0].float().mean(dim=0).numpy() for output in outputs]
        return Run(unit(np.stack(pooled)))
