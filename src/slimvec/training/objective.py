"""From the recipe's `loss` section to the objective of the run."""

from functools import partial

from slimvec.objectives.batch import Objective
from slimvec.objectives.infonce import info_nce
from slimvec.objectives.matryoshka import matryoshka
from slimvec.training.recipe import Loss


def make_objective(loss: Loss) -> Objective:
    """Give the loss that a recipe asks for, on the vectors of a batch."""
    contrastive: Objective = partial(
        info_nce,
        temperature=loss.temperature,
        terms=loss.terms,
        mask_equal_texts=loss.mask_equal_texts,
        margin=loss.margin,
        focal=loss.focal,
    )
    if not loss.mrl_dims:
        return contrastive
    return lambda batch: matryoshka(contrastive, batch, dims=loss.mrl_dims, weights=loss.mrl_weights)
