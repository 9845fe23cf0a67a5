"""The recipe: every setting of a training run, as one frozen and validated tree. No torch here.

A recipe is saved with every run. Settings that contradict each other are errors, never silently ranked.
"""

from slimvec.frozen import ContradictionError, Section
from slimvec.objectives.settings import Loss, check_mrl_dims
from slimvec.training.recipe.data import Batch, OrderNegatives, Rearrange, Source
from slimvec.training.recipe.model import Base, ModelSettings, Tuning
from slimvec.training.recipe.objectives import Adaptation, Contrastive, Objective, TextVectorsObjective
from slimvec.training.recipe.run import Optim, Run, Validation
from slimvec.training.recipe.tree import Recipe, Stage, StageError, StageRecipe

__all__ = [
    "Adaptation",
    "Base",
    "Batch",
    "ContradictionError",
    "Contrastive",
    "Loss",
    "ModelSettings",
    "Objective",
    "Optim",
    "OrderNegatives",
    "Rearrange",
    "Recipe",
    "Run",
    "Section",
    "Source",
    "Stage",
    "StageError",
    "StageRecipe",
    "TextVectorsObjective",
    "Tuning",
    "Validation",
    "check_mrl_dims",
]
