"""The section about adaptation: masked next-token prediction in the place of the contrastive loss."""

from pydantic import Field

from slimvec.training.recipe.section import Section


class Adaptation(Section):
    """Masked next-token prediction (LLM2Vec, arXiv 2404.05961), which makes a causal model use what comes after.

    A section `adaptation`, empty or not, turns a run or a stage into one; `loss` and the pairs of `batch` then say
    nothing. The texts are the positives of the records, or plain texts.

    Attributes:
        mask_share: Share of the tokens that are masked and predicted. 0.2, as LLM2Vec has it for Llama models.
        mask_token: Default the tokenizer's own, `<mask>` or `[MASK]`, and else `_`, which LLM2Vec takes for models
            that have none.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default their rows are pairs. `.txt` sources
            hold a text a line.
        max_tokens: Longest text; the rest is cut off and counted.
        step_tokens: Tokens a step, about.
    """

    mask_share: float = Field(default=0.2, gt=0, lt=1)
    mask_token: str | None = Field(default=None, min_length=1)
    field: str | None = None
    max_tokens: int = Field(default=256, ge=2)
    step_tokens: int = Field(default=8192, ge=2)
