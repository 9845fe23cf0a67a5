"""From the recipe's `loss` section to the objective of the run."""

from collections.abc import Iterator

import torch
from torch import nn

from slimvec.errors import InputError
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.losses import Losses, compute_losses
from slimvec.objectives.settings import Distillation, Loss


class TrainingObjective:
    """The loss of a run, with what of it is trained.

    Args:
        loss: What is added up.
        projection: From the student's vectors to the teacher's, [E, D]; None for none.
    """

    def __init__(self, loss: Loss, projection: nn.Parameter | None = None) -> None:
        self.loss = loss
        self.projection = projection

    def __call__(self, batch: EmbeddedBatch) -> Losses:
        """Compute the loss on the vectors of a batch: the share of its own rows."""
        return compute_losses(batch, self.loss, projection=self.projection)

    def to(self, device: torch.device) -> None:
        """Bring what is trained to where the model is."""
        if self.projection is not None:
            self.projection.data = self.projection.data.to(device)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give what is trained with the model and kept in checkpoints, and is not part of the model."""
        if self.projection is not None:
            yield "objective.projection", self.projection


def make_objective(
    loss: Loss, *, dims: int | None = None, teacher_dims: int | None = None, seed: int = 0
) -> TrainingObjective:
    """Give the loss that a recipe asks for.

    Args:
        loss: The section.
        dims: Width of the model; asked for when vectors are distilled.
        teacher_dims: Width of the teacher; likewise.
        seed: Random seed for the projection's first values.

    Raises:
        InputError: vectors of different widths shall be compared without a projection.
    """
    projection = None
    if loss.distill is not None and loss.distill.by_vectors:
        if dims is None or teacher_dims is None:
            raise ValueError("distillation by vectors needs the widths of student and teacher")
        projection = _projection(loss.distill, dims, teacher_dims, seed)
    return TrainingObjective(loss, projection)


def _projection(distill: Distillation, dims: int, teacher_dims: int, seed: int) -> nn.Parameter | None:
    """Make W where it is asked for, with rows of about unit length.

    Raises:
        InputError: the widths differ and the recipe wants none.
    """
    if distill.projection is False and dims != teacher_dims:
        raise InputError(
            f"a teacher of {teacher_dims} dims for a model of {dims}, without projection",
            expected="equal widths, or a projection",
            do="leave loss.distill.projection out",
        )
    if not distill.projects(dims, teacher_dims):
        return None
    return nn.Parameter(make_projection(dims, teacher_dims, seed))


def make_projection(dims: int, teacher_dims: int, seed: int) -> torch.Tensor:
    """Draw the first values of a projection, with rows of about unit length: [teacher_dims, dims]."""
    generator = torch.Generator().manual_seed(seed)
    found: torch.Tensor = torch.randn(teacher_dims, dims, generator=generator) / dims**0.5
    return found
