"""The objective `anchor`: the texts of a pair, each reconstructed from the vector of the other one."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse


class Anchor(Section):
    """Reconstruct the query from the document's vector and the document from the query's (arXiv 2509.03020).

    The data are pairs, and the section `loss` holds beside it. The model itself reconstructs, through one soft token
    and its language-model head, so it has to be causal and to train all of its layers. The matrix that makes the soft
    token is in the checkpoints and not in the model.

    Attributes:
        kind: `anchor`.
        query_weight: Weight of the query given the document's vector.
        document_weight: Weight of the document given the query's vector.
        drop: Share of the decoder's input tokens that are masked, so that it has to read the vector.
        alone: Leave the losses of `loss` out, for a stage before them.
    """

    kind: Literal["anchor"]
    query_weight: float = Field(default=0.8, ge=0, allow_inf_nan=False)
    document_weight: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    drop: float = Field(default=0.5, ge=0, lt=1)
    alone: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        message = "query_weight and document_weight are both 0, which leaves nothing to reconstruct; set one"
        refuse(not (self.query_weight or self.document_weight), "query_weight", message)
        return self
