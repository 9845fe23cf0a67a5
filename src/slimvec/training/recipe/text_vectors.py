"""The objective `text-vectors`: a teacher's vectors of plain texts, learnt without pairs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import refuse
from slimvec.objectives.settings import TextVectors


class TextVectorsObjective(TextVectors):
    """Learn a teacher's vectors of plain texts; formulas in `slimvec.objectives.text_vectors`.

    The texts are queries and positives of the records, each once, or the rows of plain texts. `loss.mrl_dims` and
    `loss.mrl_weights` hold here too; the rest of `loss` and the pairs of `batch` say nothing.

    Attributes:
        kind: `text-vectors`.
        teachers: Models as in `base.source`. Several are concatenated, each at unit length, so that the cosine is the
            mean of theirs.
        role: The prompt the teachers read the texts with.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default their rows are records. `.txt` sources
            hold a text a line.
        texts: Texts a step.
        max_tokens: Longest text for the student; the rest is cut off and counted. Teachers cut by their own limits.
        projection: Whether the student's vector goes through a trained matrix before `cosine` compares it. The matrix
            is in the checkpoints and not in the model. Default: where the teacher's is wider than the student's and
            `axes` is `own`.
        axes: `principal` turns the teacher's vectors onto their principal axes over the texts, widest first, which
            leaves all their cosines as they are. The first numbers then say the most, so they are what a narrower
            student and each width of `loss.mrl_dims` should learn. `own` leaves them.
        head_texts: Start the model's linear head (`model.head`) from the ridge regression of the teacher's vectors on
            the pooled states of so many texts; 0 leaves it random.
        train_head: Whether that head is trained on. Its numbers are as small as the states are large, so that steps of
            the size an adapter wants would undo the regression; default only a head that starts random.
    """

    kind: Literal["text-vectors"]
    teachers: tuple[str, ...] = Field(min_length=1)
    role: Literal["query", "document"] = "document"
    field: str | None = None
    texts: int = Field(default=64, ge=2)
    max_tokens: int = Field(default=256, ge=2)
    projection: bool | None = None
    axes: Literal["own", "principal"] = "principal"
    head_texts: int = Field(default=0, ge=0)
    train_head: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        nothing = not (self.cosine or self.gram or self.kl)
        refuse(nothing, "cosine", "cosine, gram and kl are all 0, which leaves nothing to learn; set one")
        twice = len(set(self.teachers)) < len(self.teachers)
        refuse(twice, "teachers", f"teachers {list(self.teachers)} name one twice")
        unused = "temperature" in self.model_fields_set and not self.kl
        refuse(unused, "temperature", "temperature belongs to kl, and kl is 0")
        refuse(self.projection and not self.cosine, "projection", "projection belongs to cosine, and cosine is 0")
        random = self.train_head is False and not self.head_texts
        refuse(random, "train_head", "train_head false without head_texts leaves the head random")
        return self

    def projects(self, dims: int, teacher_dims: int) -> bool:
        """Whether a matrix leads from the student's vectors to the teachers'.

        Args:
            dims: Width of the student.
            teacher_dims: Widths of the teachers together.
        """
        wider = teacher_dims > dims and self.axes == "own"
        return wider and bool(self.cosine) if self.projection is None else self.projection

    @property
    def trains_head(self) -> bool:
        """Whether the model's own head is trained."""
        return not self.head_texts if self.train_head is None else self.train_head
