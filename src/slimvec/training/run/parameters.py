"""How many parameters a stage trains, counted from its recipe and the shape of its base, without any weights."""

from dataclasses import dataclass

import torch

from slimvec.model.architectures import Config
from slimvec.model.head import Head
from slimvec.model.shapes import WeightCounts, read_spec, read_width
from slimvec.model.spec import ModelSpec
from slimvec.training.recipe import Recipe, TextVectorsObjective
from slimvec.training.recipe.objectives import Anchor


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
    spec = _spec(recipe)
    with torch.device("meta"):
        head = sum(parameter.numel() for parameter in Head(spec.head, width).parameters())
    is_full = recipe.tuning.method == "full"
    adapter = recipe.tuning.rank * counts.sides + recipe.tuning.embedding_rank * counts.table
    return TrainedParameters(
        backbone=counts.total if is_full else adapter,
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


def _spec(recipe: Recipe) -> ModelSpec:
    """Give the settings of the model that a stage trains, as far as the widths of its vectors depend on them."""
    spec = read_spec(recipe.base.source, revision=recipe.base.revision)
    return spec.replace(**recipe.model.model_dump(include={"head", "dims"} & recipe.model.model_fields_set))


def uncounted(recipe: Recipe, config: Config) -> tuple[str, ...]:
    """Say in words what a stage trains or runs that no count holds: what hangs on its teachers.

    Args:
        recipe: Recipe of the stage.
        config: Shape of its base.
    """
    distill = recipe.loss.distill
    if isinstance(recipe.objective, TextVectorsObjective):
        names, by_vectors, projects = recipe.objective.teachers, True, recipe.objective.projects
        asked = "asked for the vectors of all texts before the first step"
    elif distill is not None and distill.has_model:
        names, by_vectors, projects = (distill.teacher,), bool(distill.by_vectors), distill.projects
        asked = "asked in every step, beside the model"
    else:
        return ()
    found = [f"memory and time of {' and '.join(names)}, {asked}"]
    absent = [name for name in names if read_width(name) is None]
    spec = _spec(recipe)
    dims = spec.dims or spec.full_width(int(config["hidden_size"]))
    if by_vectors and absent and projects(dims, dims + 1):
        if_needed = "" if projects(dims, dims) else ", if it needs one"
        found.insert(0, f"a projection to the width of {' and '.join(absent)}, which is not at hand{if_needed}")
    return tuple(found)


def _teacher_width(*teachers: str) -> int | None:
    """Add the widths of some teachers up; None where one is not known."""
    widths = [read_width(teacher) for teacher in teachers]
    return None if None in widths else sum(width or 0 for width in widths)
