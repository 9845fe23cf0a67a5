"""The section about evaluation during training."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.data.overlap_limit import MAX_SHARED
from slimvec.frozen import Section, refuse


class Validation(Section):
    """Retrieval among held-out records, now and then. One of `count`, `share` and `path` says which.

    Attributes:
        count: Hold out about so many of the records, whole queries at a time.
        share: Hold out this share of them. Which ones is decided by a hash of the query, so that all stages and
            seeds hold out the same.
        path: Take the records of this file instead; those of their queries are left out of the training data.
        max_shared: With `path`: refuse a run in which more than this share of the training records, or of the file's
            queries, shares text with the other side. 1 refuses none; the count stays with the run.
        every_steps: Steps between two evaluations; there is one before the first step and one after the last too.
        metric: `ndcg_at_10` or `mrr_at_10` on the held-out records, or a measure of an evaluation handed in from
            outside, as `NAME/MEASURE`.
        patience: End the stage after so many evaluations in a row without a better one; default never.
        keep: What the stage gives: the weights of its best evaluation, or its last ones.
    """

    count: int | None = Field(default=None, ge=2)
    share: float | None = Field(default=None, gt=0, lt=1)
    path: Path | None = None
    max_shared: float = Field(default=MAX_SHARED, ge=0, le=1)
    every_steps: int = Field(default=100, ge=1)
    metric: str = "ndcg_at_10"
    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [key for key in ("count", "share", "path") if getattr(self, key) is not None]
        found = " and ".join(given) + " are all given" if given else "nothing says what is held out"
        refuse(len(given) != 1, "".join(given[-1:]), f"{found}; give one of count, share, path")
        return self
