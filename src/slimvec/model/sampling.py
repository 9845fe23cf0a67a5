"""How the next token is chosen: transformers' own rules, in its own order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slimvec.model.json_files import read_object

TOP_K = 50
"""The choice is among so many tokens: a small model's long tail is noise."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Rules of the choice.

    Attributes:
        temperature: Divides the scores; 0 takes the likeliest token each time.
        top_k: The choice is among so many tokens.
        top_p: The choice is among the likeliest tokens that have this much probability together.
        repetition_penalty: Factor on the scores of tokens that are there already; 1 is none.
    """

    temperature: float = 1.0
    top_k: int = TOP_K
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def chooser(self, device: torch.device, seed: int) -> Callable[[Sequence[int], Tensor], int]:
        """Give a function from the tokens so far and the scores [1, V] of the next to the next.

        Args:
            device: Where the scores are.
            seed: Random seed for the choice.
        """
        processors, generator = self._processors(), torch.Generator(device).manual_seed(seed)

        def choose(seen: Sequence[int], logits: Tensor) -> int:
            scores = processors(torch.tensor([list(seen)], device=device), logits)
            if not self.temperature:
                return int(scores.argmax())
            return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=generator))

        return choose

    def _processors(self) -> Any:
        """Put transformers' rules together."""
        from transformers.generation.logits_process import (
            LogitsProcessorList,
            RepetitionPenaltyLogitsProcessor,
            TemperatureLogitsWarper,
            TopKLogitsWarper,
            TopPLogitsWarper,
        )

        rules: list[Any] = []
        if self.repetition_penalty != 1:
            rules.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if self.temperature:
            rules += [TemperatureLogitsWarper(float(self.temperature)), TopKLogitsWarper(self.top_k)]
            if self.top_p < 1:
                rules.append(TopPLogitsWarper(self.top_p))
        return LogitsProcessorList(rules)


@dataclass(frozen=True, slots=True)
class Writing:
    """How a model's files say that it writes.

    Attributes:
        sampling: Its rules, at temperature 1.
        ends: Tokens that end a text.
    """

    sampling: Sampling
    ends: frozenset[int]

    def at(self, temperature: float) -> Sampling:
        """Give the rules at a temperature."""
        return replace(self.sampling, temperature=temperature)


def read_writing(folder: Path) -> Writing:
    """Read `generation_config.json`, and `config.json` for what that does not say.

    Raises:
        ModelError: a file that cannot be read.
    """
    said = read_object(folder / "generation_config.json", missing=True)
    end = said.get("eos_token_id", read_object(folder / "config.json").get("eos_token_id"))
    ends = end if isinstance(end, list) else [] if end is None else [end]
    sampling = Sampling(top_p=said.get("top_p") or 1.0, repetition_penalty=said.get("repetition_penalty") or 1.0)
    return Writing(sampling, frozenset(ends))
