"""What all sections of a recipe share."""

from pydantic import BaseModel, ConfigDict


class ContradictionError(ValueError):
    """Settings that exclude each other.

    Args:
        key: The key within its section that the message is about, so that a reader can point to its line.
        message: What is wrong and what would be right.
    """

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def refuse(wrong: object, key: str, message: str) -> None:
    """Raise a ContradictionError about a key where something is wrong."""
    if wrong:
        raise ContradictionError(key, message)


class Section(BaseModel):
    """A part of the recipe: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
