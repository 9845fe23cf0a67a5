"""The section about adaptation: predicting tokens, in the place of the contrastive loss."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse
from slimvec.model.spec import AttentionMode

Objective = Literal["next-token", "masked-next-token", "masked-token"]
_MASK_SHARES = {"masked-next-token": 0.2, "masked-token": 0.3}


class Adaptation(Section):
    """Token prediction: from scratch, or to make a causal model use what comes after.

    A section `adaptation`, empty or not, turns a run or a stage into one; `loss` and the pairs of `batch` then say
    nothing. The texts are the positives of the records, or plain texts.

    Attributes:
        objective: `masked-next-token` predicts a masked token from the state before it (LLM2Vec, arXiv 2404.05961),
            as the head of a language model is used to: for causal models that shall become bidirectional.
            `next-token` predicts every token from the state before it, causally: how decoders are pre-trained.
            `masked-token` predicts a masked token at its own place (BERT, arXiv 1810.04805): how encoders are.
        mask_share: Share of the tokens that are masked and predicted. Default 0.2 with `masked-next-token`, as LLM2Vec
            has it for Llama models, and 0.3 with `masked-token`, as ModernBERT (arXiv 2412.13663). A token that is
            chosen is always masked: leaving it or replacing it by another one now and then (BERT's 80/10/10) brings
            nothing (arXiv 2202.08005).
        mask_token: Default the tokenizer's own, `<mask>` or `[MASK]`, and else `_`, which LLM2Vec takes for models
            that have none.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default their rows are pairs. `.txt` sources
            hold a text a line.
        max_tokens: Longest text; the rest is truncated and counted. At most the model's own limit counts.
        step_tokens: Tokens a step, about.
    """

    objective: Objective = "masked-next-token"
    mask_share: float | None = Field(default=None, gt=0, lt=1)
    mask_token: str | None = Field(default=None, min_length=1)
    field: str | None = None
    max_tokens: int = Field(default=256, ge=2)
    step_tokens: int = Field(default=8192, ge=2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("mask_share", "mask_token"):
            given = self.objective == "next-token" and getattr(self, key) is not None
            refuse(given, key, f"{key} with objective next-token, which masks nothing")
        return self

    @property
    def predicted_share(self) -> float:
        """Share of the tokens that are predicted."""
        return self.mask_share or _MASK_SHARES.get(self.objective, 1.0)

    @property
    def attention(self) -> AttentionMode:
        """The attention mode in which there is something to learn, and nothing to copy."""
        return "causal" if self.objective == "next-token" else "bidirectional"
