"""What was embedded for a result: prompts, texts, tokens and truncation, counted over every text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role


class Counts(TypedDict):
    """What a result says of the texts that were embedded; the keys are those of `SubsetResult`."""

    prompts: Mapping[str, str]
    num_texts: int
    num_tokens: int
    truncated_share: float | None


@dataclass
class Ledger:
    """What was embedded for a subset of a task: counts over its texts, repeated ones included.

    Attributes:
        prompts: By role; `both` where the sides are alike.
        num_texts: Texts.
        num_tokens: Tokens of those whose tokens are known, prompts included.
        num_truncated: Truncated texts.
        num_unknown: Texts of which nobody knows whether they were.
    """

    prompts: dict[str, str] = field(default_factory=dict)
    num_texts: int = 0
    num_tokens: int = 0
    num_truncated: int = 0
    num_unknown: int = 0

    def add(self, role: Role | None, prompt: str | None, embedded: Embeddings) -> None:
        """Count a batch of texts; None is a prompt that nobody knows."""
        if prompt is not None:
            self.prompts[role or "both"] = prompt
        self.num_texts += len(embedded.vectors)
        self.num_tokens += embedded.num_tokens
        self.num_truncated += embedded.num_truncated
        self.num_unknown += int((embedded.truncated == -1).sum())

    @property
    def counts(self) -> Counts:
        """All of it."""
        known = self.num_texts - self.num_unknown
        return {
            "prompts": self.prompts,
            "num_texts": self.num_texts,
            "num_tokens": self.num_tokens,
            "truncated_share": self.num_truncated / known if known else None,
        }
