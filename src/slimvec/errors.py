"""The errors slimvec raises on purpose: one root, one line each, and the exit code the command line gives them.

Every message says what was found, what was expected and what to do about it, so that a reader of one line of log
knows the next step. Anything else that escapes is a bug in slimvec and keeps its traceback.
"""

import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError


class SlimvecError(Exception):
    """Root of all deliberate errors.

    Args:
        found: What was found, with its place (file, line, key).
        expected: What would have been right.
        do: What the reader can do now.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, expected: str = "", do: str = "") -> None:
        self.found = found
        self.expected = expected
        self.do = do
        parts = [found, f"expected {expected}" if expected else "", do]
        super().__init__("; ".join(" ".join(part.split()) for part in parts if part))


class ModelWarning(UserWarning):
    """A model's files hold something that may make its vectors differ from what its maker meant."""


class LicenceWarning(UserWarning):
    """A model's licence asks for more than that its text is kept; given once a process for each model."""


class InputError(SlimvecError):
    """The user's input is wrong: a file, a text, a setting, an argument."""

    exit_code = 2


class ModelError(SlimvecError):
    """A model folder or source cannot be used as it is."""

    exit_code = 2


class FetchError(SlimvecError):
    """Something had to be fetched and could not be."""

    exit_code = 2


class StorageError(SlimvecError):
    """A result could not be written: the disk is full, or the place is not writable."""

    exit_code = 2


class TrainingError(SlimvecError):
    """Training cannot go on: the loss or the vectors broke down, or a checkpoint cannot be used."""


class PeerError(TrainingError):
    """Another process of the same run failed, and has reported why."""


def validation_summary(error: "ValidationError") -> str:
    """Put a pydantic error into one line: each place, and what is wrong with it."""
    parts = []
    for entry in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in entry["loc"])
        message = entry["msg"].removeprefix("Value error, ")
        wanted = plain_expectation(message)
        message = message if wanted == message else f"expected {wanted}"
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)


def plain_expectation(message: str) -> str:
    """Put what pydantic says that it expects into words that stand behind "expected"; other messages stay."""
    if "is not a valid path" in message:
        return "a path"
    found = re.sub(r"a valid dictionary( or instance of \w+)?", "keys with their values", message)
    return found.removeprefix("Input should be ").removeprefix("String should match ").removeprefix("Value error, ")
