"""Beta pooling as a sentence-transformers module, for saved models that use it.

sentence-transformers has no beta; a model pooled with one names this class in its `modules.json`, so that it loads
where slimvec is installed and stops with an import error where it is not, instead of giving another pooling's vectors.
"""

import json
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from slimvec.model.pooling import pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch


class BetaPooling(nn.Module):
    """Pool padded token embeddings with w_{t+1} = w_t (1 + beta / t).

    Args:
        beta: The family's parameter.
        include_prompt: Whether the prompt's tokens are pooled too.
        dims: Width of the states.
    """

    def __init__(self, beta: float, include_prompt: bool, dims: int) -> None:
        super().__init__()
        self.pooling = Pooling(mode="beta", beta=beta, include_prompt=include_prompt)
        self.dims = dims

    @property
    def include_prompt(self) -> bool:
        """Read by sentence-transformers, which then hands over the prompt's length."""
        return self.pooling.include_prompt

    def get_embedding_dimension(self) -> int:
        """Width of the vectors."""
        return self.dims

    get_sentence_embedding_dimension = get_embedding_dimension

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Add `sentence_embedding` [B, H] to the features, from `token_embeddings` [B, L, H] and `attention_mask`."""
        mask: Tensor = features["attention_mask"].bool()
        lengths = mask.sum(1).tolist()
        prefix = features.get("prompt_length")
        prompt_length = int(prefix.flatten()[0]) if isinstance(prefix, Tensor) else int(prefix or 0)
        batch = PackedBatch.from_sequences([[0] * n for n in lengths], [min(prompt_length, n) for n in lengths])
        states = features["token_embeddings"][mask]
        features["sentence_embedding"] = pool(states, batch.to(states.device), self.pooling).to(states.dtype)
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the settings."""
        content = {**self.pooling.model_dump(mode="json", exclude={"mode"}), "dims": self.dims}
        (Path(output_path) / "config.json").write_text(json.dumps(content, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **_: Any) -> Self:
        """Read the settings from a model folder."""
        content = json.loads((Path(model_name_or_path) / subfolder / "config.json").read_text(encoding="utf-8"))
        return cls(float(content["beta"]), bool(content["include_prompt"]), int(content["dims"]))
