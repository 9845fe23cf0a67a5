"""What the training loop needs of a model."""

from collections.abc import Iterable
from typing import Protocol, Self

from torch import Tensor, nn

from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch


class TrainableModel(Protocol):
    """What the loop needs of a model; `slimvec.model.embedding_model.EmbeddingModel` is one."""

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Embed n texts: [n, D] float32 unit vectors, differentiable in the trainable parameters."""
        ...

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Give all parameters; those to be trained require a gradient."""
        ...

    def modules(self) -> Iterable[nn.Module]:
        """Give all modules."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        ...

    def attend(self, mode: AttentionMode) -> None:
        """Change the attention mode."""
        ...
