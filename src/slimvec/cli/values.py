"""Values of options that are looked at beyond what typer does; errors as everywhere."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from slimvec.errors import InputError

_T = TypeVar("_T")


def exactly_one(**given: object) -> None:
    """See that of two options one is given; None and False are not.

    Raises:
        InputError: both are, or neither.
    """
    names = [f"--{name.replace('_', '-')}" for name in given]
    present = sum(value is not None and value is not False for value in given.values())
    if present != 1:
        found = f"both {' and '.join(names)}" if present else f"neither {' nor '.join(names)}"
        raise InputError(found, expected="one of them")


def none_of(beside: str, instead: str, **given: object) -> None:
    """See that no option is given that says nothing beside another one; None, False, 0 and nothing are not.

    Args:
        beside: The option that is there.
        instead: What the others go with.
        given: Their values, by name; those that have a default are compared with it before.

    Raises:
        InputError: one is given.
    """
    for name, value in given.items():
        if value:
            raise InputError(f"--{name.replace('_', '-')} beside {beside}, where it says nothing", expected=instead)


def among(given: Collection[str] | None, known: Sequence[_T], *, what: str) -> list[_T]:
    """Give the known ones of some names, in their own order; all where none is given.

    Raises:
        InputError: a name is not known.
    """
    unknown = sorted(set(given or ()) - set(map(str, known)))
    if unknown:
        raise InputError(f"{what} {unknown[0]!r}", expected=f"one of {', '.join(map(str, known))}")
    return [one for one in known if not given or str(one) in given]


def numbers(text: str, flag: str, kind: Callable[[str], _T], *, expected: str) -> list[_T]:
    """Read numbers with commas between them.

    Raises:
        InputError: they are none.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{flag} {text}", expected=expected) from None
