"""What a command takes, read from its docstring."""

import inspect
from dataclasses import dataclass, field
from typing import get_args

import pytest
import typer

from slimvec.cli.described import describe


@dataclass(frozen=True)
class Group:
    """Two options.

    Options:
        width N (from 1): How wide. What does not fit
            goes on here.
    """

    width: int
    force: bool = False
    kept: list[str] = field(default_factory=list, init=False)


def command(
    _,
    *,
    names: list[str],
    group: Group,
    share: float = 0.5,
    cache: bool = True,
    words: list[str] | None = None,
):
    """Do something.

    With two paragraphs: and a colon.

    Positional:
        names NAME...: Some names.

    Options:
        share -s X (0.25 to 1): A share; one of {PROBES}.
        cache --cache/--no-cache (hidden): Keep it.
        words W: Words.
    """
    return names, group, share, cache, words


def info(parameter):
    return get_args(parameter.annotation)[1]


def flags(parameter):
    """As typer is given them: in an annotation, the place of a default holds the first."""
    found = info(parameter)
    return (found.default, *found.param_decls)


@pytest.mark.parametrize(
    "arguments", [("mine", "x", "--margin"), ("synthesize", "--temperature"), ("adapt", "x", "--minutes")]
)
@pytest.mark.parametrize(
    ("value", "message"), [("nan", "Input should be greater than"), ("inf", "inf is not a finite number")]
)
def test_numbers_are_finite(slimvec, arguments, value, message):
    outcome = slimvec(*arguments, value, "--output", "out")
    assert outcome.code == 2
    assert f"Invalid value for '{arguments[-1]}': {message}" in outcome.error


def test_the_parts_of_a_description():
    found = describe(command)
    assert found.prose == "Do something.\n\nWith two paragraphs: and a colon."
    names, width, force, share, cache, words = found.parameters
    assert isinstance(info(names), typer.models.ArgumentInfo)
    assert (info(names).metavar, info(names).help) == ("NAME...", "Some names.")
    assert (names.default, width.default, force.default) == (inspect.Parameter.empty, inspect.Parameter.empty, False)
    assert (flags(width), info(width).min, info(width).max) == (("--width",), 1, None)
    assert info(width).help == "How wide. What does not fit goes on here."
    assert info(force).help == "Replace the output if it exists."  # shared
    assert (flags(share), info(share).min, info(share).max) == (("--share", "-s"), 0.25, 1)
    assert info(share).help.startswith("A share; one of order, position, ")
    assert (flags(cache), info(cache).hidden) == (("--cache/--no-cache",), True)
    assert (flags(words), info(words).help) == (("--words",), "Words. Can be given several times.")


def test_fields_come_as_the_dataclass_they_belong_to():
    values = {"names": ["a"], "width": 3, "force": True, "share": 1.0}
    assert describe(command).grouped(values) == {"names": ["a"], "share": 1.0, "group": Group(3, True)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Do.", "takes_one does not describe one"),
        ("Do.\n\nOptions:\n    one: Its help.\n    two: More.", "takes_one describes two, which it does not take"),
        (
            "Do.\n\nOptions:\n    one N (about 3): A number.",
            r"\(about 3\) of one are no limits: from N, N to N, or hidden",
        ),
        ("Do.\n\nOptions:\n    one without a colon", "'one without a colon' describes no parameter"),
    ],
)
def test_descriptions_that_do_not_fit(text, said):
    def takes_one(_, *, one: int):
        return one

    takes_one.__doc__ = text
    with pytest.raises(ValueError, match=said):
        describe(takes_one)
