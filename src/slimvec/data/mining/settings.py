"""What kind of negatives are wanted."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Frozen


class MiningSettings(Frozen):
    """Which of the documents found become negatives.

    Attributes:
        num_negatives: Wanted of each record; KaLM has 7.
        first_rank: Best rank that is used, from 1, known documents not counted. Default: half
            of `last_rank`, or less where there would not be enough.
        last_rank: Worst rank that is used. Default: 100 as KaLM; in a corpus of less than 1,000 documents a tenth of
            it; always at least twice `num_negatives`.
        margin: Negatives score at least this much less than the positive; default no such rule.
        relative_margin: Negatives score below this share of the positive's score: above it, right answers that nobody
            marked are frequent (NV-Retriever, arXiv 2407.15831, found 0.95 best). None for no such rule. A score s
            below 0 is bound by s - (1 - share) |s|, which is the same for positive ones.
        choice: `sample` takes any within the ranks by chance, as KaLM does; `top` the best.
        near_duplicates: Negatives whose runs of three words overlap with the query's, a positive's or another
            negative's by this share (Jaccard) are left out; default no such rule.
        seed: Random seed for the choice. It depends on the texts of the record and on nothing else, not even on its
            place.
    """

    num_negatives: int = Field(default=7, ge=1)
    first_rank: int | None = Field(default=None, ge=1)
    last_rank: int | None = Field(default=None, ge=1)
    margin: float | None = Field(default=None, ge=0)
    relative_margin: float | None = Field(default=0.95, gt=0, le=1)
    choice: Literal["sample", "top"] = "sample"
    near_duplicates: float | None = Field(default=None, gt=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.first_rank is not None and self.last_rank is not None and self.first_rank > self.last_rank:
            raise ValueError(f"first rank {self.first_rank} is after last rank {self.last_rank}")
        return self

    def ranks(self, num_candidates: int) -> tuple[int, int]:
        """First and last rank for a corpus of this size."""
        last = self.last_rank
        if last is None:
            last = max(min(100, num_candidates // 10), 2 * self.num_negatives)
            last = max(last, (self.first_rank or 1) + self.num_negatives - 1)
        if self.first_rank is not None:
            return self.first_rank, last
        return max(1, min(last // 2, last - self.num_negatives + 1)), last
