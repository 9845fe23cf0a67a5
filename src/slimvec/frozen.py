"""Typed objects that do not change once they are made, and those of them that have a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from slimvec.errors import InputError, SlimvecError, validation_summary
from slimvec.files import write_text


@contextmanager
def checked(
    what: str = "", *, expected: str = "", do: str = "", kind: type[SlimvecError] = InputError
) -> Iterator[None]:
    """Turn what pydantic refuses in the body into an error of one line.

    Args:
        what: Stands in front of what is wrong.
        expected: As in the error, like `do`.
        do: What the user can do.
        kind: The error.
    """
    try:
        yield
    except ValidationError as error:
        raise kind(f"{what}{validation_summary(error)}", expected=expected, do=do) from error


class Frozen(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stored(Frozen):
    """An object with a file of its own, which is read again.

    Attributes:
        what: What its file is called in errors.
    """

    what: ClassVar[str] = "a file of results"

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InputError: the file is missing or holds something else.
        """
        path = Path(path)
        try:
            with checked(f"{path}: ", expected=cls.what):
                return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", expected=cls.what) from error

    def write(self, path: str | Path, *, force: bool = False) -> None:
        """Write as JSON.

        Raises:
            InputError: the file exists, and not `force`.
            StorageError: it cannot be written.
        """
        write_text(path, self.model_dump_json(indent=1) + "\n", force=force)


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


class Section(Frozen):
    """A part of the settings that users write; its defaults are checked too, and no number is infinite unasked."""

    model_config = ConfigDict(validate_default=True, allow_inf_nan=False)

    def is_default(self, key: str) -> bool:
        """Whether a key has its default, written or not: what is written in full must read back."""
        return bool(getattr(self, key) == type(self).model_fields[key].default)
