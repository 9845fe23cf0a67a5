"""How many parameters a stage trains, counted from its recipe and the shape of its base, without any weights."""

from dataclasses import dataclass

import torch

from slimvec.model.architectures import Config
from slimvec.model.head import Head
from slimvec.model.shapes import WeightCounts, read_spec, read_width
from slimvec.training.recipe import Recipe, TextVectorsObjective
from slimvec.training.recipe.anchor import Anchor


@dataclass(frozen=True)
class TrainedParameters:
    """Trainable parameters by where they are.

    Attributes:
        backbone: In the backbone, or in the adapter on it.
        head: In the layers behind the pooling.
        objective: Beside the model: the matrix of an anchor token, or the one to a teacher's wider vectors. The latter
            counts where the teachers are on this machine or their shapes are known.
    """

    backbone: int
    head: int
    objective: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.backbone + self.head + self.objective


def count_trained(recipe: Recipe, config: Config, counts: WeightCounts) -> TrainedParameters:
    """Count what a stage trains.

    Args:
        recipe: Recipe of the stage.
        config: Shape of its base.
        counts: Weights of that shape.

    Raises:
        ModelError: the layers of the head do not fit the base.
    """
    width = int(config["hidden_size"])
    spec = read_spec(recipe.base.source, revision=recipe.base.revision)
    spec = spec.replace(**recipe.model.model_dump(include={"head", "dims"} & recipe.model.model_fields_set))
    with torch.device("meta"):
        head = sum(parameter.numel() for parameter in Head(spec.head, width).parameters())
    is_full = recipe.tuning.method == "full"
    return TrainedParameters(
        backbone=counts.total if is_full else recipe.tuning.rank * counts.sides,
        head=head if recipe.trains_head else 0,
        objective=_beside(recipe, width, spec.dims or spec.full_width(width)),
    )


def _beside(recipe: Recipe, width: int, dims: int) -> int:
    """Count what is trained beside a model whose states have `width` and whose vectors have `dims`."""
    found = width * dims if isinstance(recipe.objective, Anchor) else 0
    if isinstance(recipe.objective, TextVectorsObjective):
        teacher, projects = _teacher_width(*recipe.objective.teachers), recipe.objective.projects
    elif recipe.loss.distill is not None and recipe.loss.distill.by_vectors:
        teacher, projects = _teacher_width(recipe.loss.distill.teacher), recipe.loss.distill.projects
    else:
        return found
    return found + (teacher * dims if teacher is not None and projects(dims, teacher) else 0)


def _teacher_width(*teachers: str) -> int | None:
    """Add the widths of some teachers up; None where one is not known."""
    widths = [read_width(teacher) for teacher in teachers]
    return None if None in widths else sum(width or 0 for width in widths)
