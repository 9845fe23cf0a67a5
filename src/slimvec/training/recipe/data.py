"""The sections about the data: its sources, and what one step takes in."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.data.bad_rows import OnBad
from slimvec.data.cleaning.settings import Cleaning
from slimvec.data.hub import HUB_PREFIX
from slimvec.data.reordering_kinds import Origin, Reordering
from slimvec.frozen import Section, refuse


class Rearrange(Section):
    """Documents whose sentences are put in another order when they are drawn, which leaves them as right or wrong.

    Against a bias to the beginning of texts. They are rearranged before they are truncated: give
    `batch.max_document_tokens` room for whole documents, or the rotated ones lose what answers.

    Attributes:
        permute: Share of the documents whose sentences are shuffled.
        rotate: Share of those that begin at a sentence drawn at random and go on with the others in their order. 1
            brings every sentence to every place equally often, so the positions of the evidence are balanced without
            knowing them. The two shares together are at most 1; the rest of the documents stays as it is.
    """

    permute: float = Field(default=0.0, ge=0, le=1)
    rotate: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        message = f"permute {self.permute} and rotate {self.rotate} are shares of the documents: above 0, at most 1"
        refuse(not 0 < self.permute + self.rotate <= 1, "rotate", f"{message} together")
        return self


class OrderNegatives(Section):
    """Hard negatives of reordered words, made as records are drawn (`slimvec.data.rewriting`).

    Against blindness to word order. They take the place of the last of `batch.negatives` where a record has that many,
    and `loss.margin`, which drops what is too alike, leaves them in.

    Attributes:
        share: Share of the records that get one, each time they are drawn, as far as their texts bear it.
        kinds: Kinds of reordering to choose from. `shuffle` is not among the default ones: its looks give it away.
        of: What is reordered: `positive`, for retrieval; `query`, for pairs that say the same; `sentence`, one of the
            positive, which then asks for itself with some words left out, in place of the record.
    """

    share: float = Field(default=0.25, gt=0, le=1)
    kinds: tuple[Reordering, ...] = Field(
        default=("neighbours", "words", "numbers", "clauses", "negation"), min_length=1
    )
    of: Origin = "positive"


class Source(Section):
    """Training records from one place; `slimvec.data.records` says what its rows hold.

    Attributes:
        path: `.jsonl`, `.jsonl.gz` or `.parquet`, or a hub dataset as `hf:owner/name[@revision][:config][:split]`.
        kind: `pairs` are records as they stand. `classes` are texts with labels, of which pairs of the same class are
            made, with negatives of other classes. `graded` are pairs of texts with a grade of likeness.
        skip: Labels of class examples that are not a class, such as clinc150's `oos`; their texts are left out.
        grades: Lowest and highest grade of graded pairs, as the file has them. Default 0 and 5, as in STS.
        passages: File with the texts by id, for rows that hold ids instead of texts.
        task: Task name or whole instruction for the prompts of records that name none.
        limit: Take this many records, chosen by the run's seed; default all.
        weight: Records of a source of weight 2 come twice as often as those of weight 1 (see batches/dealing.py).
        on_bad: A row that cannot be used is an error, or is left out and counted.
        cleaning: Rules that records have to pass, each source by itself; default none.
        rearrange: Put the sentences of documents in another order, each epoch anew; default as they stand.
        order_negatives: Give a share of the records a hard negative of reordered words, each epoch anew; default none.
        license: Licence of the data, for the data card.
    """

    path: Path
    kind: Literal["pairs", "classes", "graded"] = "pairs"
    skip: tuple[str, ...] = ()
    grades: tuple[float, float] | None = None
    passages: Path | None = None
    task: str | None = None
    limit: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    on_bad: OnBad = "error"
    cleaning: Cleaning | None = None
    rearrange: Rearrange | None = None
    order_negatives: OrderNegatives | None = None
    license: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kind = f"and the kind is {self.kind}"
        if self.grades is not None:
            wrong = self.grades[0] >= self.grades[1]
            refuse(wrong, "grades", f"grades {list(self.grades)} must be the lowest, then the highest")
            refuse(self.kind != "graded", "grades", f"grades belong to kind graded, {kind}")
        refuse(self.skip and self.kind != "classes", "skip", f"skip belongs to kind classes, {kind}")
        if self.kind != "pairs":
            refuse(self.order_negatives, "order_negatives", f"order_negatives go with kind pairs only, {kind}")
            for key, is_set in (("passages", self.passages), ("on_bad", self.on_bad == "skip"), ("path", self.is_hub)):
                refuse(is_set, key, f"{key} {getattr(self, key)} goes with kind pairs only, {kind}")
        return self

    @property
    def is_hub(self) -> bool:
        """Whether the records come from a hub."""
        return str(self.path).startswith(HUB_PREFIX)


class Batch(Section):
    """What one step takes in.

    Attributes:
        pairs: Pairs a step; in-batch negatives grow with it.
        negatives: Mined negatives used of each pair, at most; KaLM has 7.
        group_by: What batches are made alike by.
        homogeneous: Share of each batch that is of one group; the rest is shuffled over all batches. 1 makes every
            batch of one group, 0 mixes all. KaLM's scores fell as it rose.
        mix_temperature: Sources are drawn from by size to the power 1 / this: 1 is every record once an epoch,
            `.inf` draws from all sources alike.
        instruction_dropout: Share of the queries trained without their prompt, drawn anew in every step, for models
            that are also asked without one. 0.1 is a usual share; at 1 no query has any.
        max_query_tokens: Longest query, prompt included; the rest is truncated and counted.
        max_document_tokens: Longest document, likewise.
        micro_batch_tokens: Tokens run at once. Below 2,048 the many small products cost more than they save.
        graph_tokens: Batches of up to this many tokens keep all intermediate results for the backward pass, with
            SmolLM2-135M 0.75 GB for 1,000 tokens. Larger ones compute them twice (gradient cache), which takes 1.4
            times as long and bounds the memory to one micro-batch.
        gradient_checkpointing: Keep only the layers' inputs of a micro-batch, and compute each layer again in the
            backward pass: less memory, a third more time. For models of which one micro-batch does not fit.
    """

    pairs: int = Field(default=48, ge=2)
    negatives: int = Field(default=7, ge=0)
    group_by: Literal["task", "source", "language"] = "task"
    homogeneous: float = Field(default=0.0, ge=0, le=1)
    mix_temperature: float = Field(default=1.0, ge=1, allow_inf_nan=True)
    instruction_dropout: float = Field(default=0.0, ge=0, le=1)
    max_query_tokens: int = Field(default=64, ge=1)
    max_document_tokens: int = Field(default=256, ge=1)
    micro_batch_tokens: int = Field(default=2048, ge=1)
    graph_tokens: int = Field(default=8192, ge=0)
    gradient_checkpointing: bool = False
