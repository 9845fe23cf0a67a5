"""The section `objective`: what is learnt, distinguished by its `kind`."""

from typing import Annotated, Literal

from pydantic import Field

from slimvec.frozen import Section
from slimvec.training.recipe.anchor import Anchor
from slimvec.training.recipe.ngrams import NGrams
from slimvec.training.recipe.text_objectives import Crops, NextPhrase, Revela, SimCSE
from slimvec.training.recipe.text_vectors import TextVectorsObjective


class Contrastive(Section):
    """Learn from pairs of a query and a document that answers it, by the section `loss`.

    Attributes:
        kind: The default.
    """

    kind: Literal["contrastive"] = "contrastive"


Objective = Annotated[
    Contrastive | Anchor | NextPhrase | SimCSE | Crops | Revela | NGrams | TextVectorsObjective,
    Field(discriminator="kind"),
]
"""A kind of objective is a section here and an entry in `slimvec.training.run.kinds.KINDS`."""
