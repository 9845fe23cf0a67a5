"""Reading YAML that anyone may have written: the one place where slimvec does, in bounded time, size and depth.

Settings are plain values in sections and lists. Tags, sections as keys, values that contain themselves, and references
that multiply a small file into a large tree are errors in one line.
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from slimvec.errors import InputError

MAX_CHARACTERS = 200_000
"""Sixteen times the largest file that comes with slimvec; some seconds of reading."""
MAX_DEPTH = 32
MAX_VALUES = 10_000
"""Values after all references are followed."""


def read_yaml(text: str, name: str) -> Any:
    """Read one YAML document as plain values; None for an empty one.

    Args:
        text: YAML.
        name: Name of the file or the option, for messages.

    Raises:
        InputError: no YAML of plain values, or too large or too deep.
    """
    compose_yaml(text, name)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-02-30, or a number of too many digits
        raise _malformed(name, error) from error


def compose_yaml(text: str, name: str) -> yaml.Node | None:
    """Read one YAML document as nodes that know their lines; all keys are single values, and each is there once.

    Arguments and errors as for `read_yaml`.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{name} has {len(text):,} characters", expected=f"at most {MAX_CHARACTERS:,} of YAML")
    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader), name)
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _check_keys(root, name)
    except yaml.YAMLError as error:
        raise _malformed(name, error) from error
    return root


def read_own_yaml(package: str, file: str) -> Any:
    """Read a YAML file that a package carries.

    Args:
        package: Its name.
        file: Name of the file, in its folder.
    """
    return read_yaml(resources.files(package).joinpath(file).read_text(encoding="utf-8"), file)


def read_yaml_file(path: Path, expected: str) -> Any:
    """Read a YAML file as `read_yaml` does.

    Args:
        path: Path of the file.
        expected: What it should hold, for messages.

    Raises:
        InputError: it cannot be read, or is no YAML of plain values.
    """
    return read_yaml(read_text(path, expected), str(path))


def read_text(path: Path, expected: str) -> str:
    """Read a text file.

    Args:
        path: Path of the file.
        expected: What it should hold, for messages.

    Raises:
        InputError: it cannot be read or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", expected=expected) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: {error}", expected=f"{expected} in UTF-8") from error


def _check_events(events: Iterator[yaml.Event], name: str) -> None:
    """Refuse tags, self-references and whatever is too deep or too large, before anything is built.

    Raises:
        InputError: one of them is there.
    """
    count = 0
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    for event in events:
        place = f"{name}, line {event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise InputError(f"{place}: tag {event.tag!r}", expected="plain values", do="leave the tag out")
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise InputError(f"{place}: *{event.anchor} contains itself", expected="a value that ends")
            count += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        if len(open_nodes) > MAX_DEPTH:
            raise InputError(f"{place}: nested more than {MAX_DEPTH} deep", expected="sections within sections")
        if count > MAX_VALUES:
            raise InputError(f"{place}: more than {MAX_VALUES:,} values", expected="fewer", do="look for references")


def _check_keys(node: yaml.Node, name: str) -> None:
    """Refuse sections and lists as keys, and a key that its section has already, which would replace the first.

    Raises:
        InputError: one is there.
    """
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{name}, line {line}: a section or a list as a key", expected="a name")
            if key.value in seen:
                raise InputError(f"{name}, line {line}: {key.value!r} is there already, in line {seen[key.value]}")
            seen[key.value] = line
            _check_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(value, name)


def _malformed(name: str, error: Exception) -> InputError:
    return InputError(f"{name} is not valid YAML: {error}", do="correct it and try again")
