"""The words of the house: docstrings and help lines say what a thing is."""

import ast
import re
from pathlib import Path

import pytest

SOURCES = sorted(Path(__file__).parents[1].glob("src/slimvec/**/*.py"))
OPENS_WITH_OF = re.compile(r"(?:\A|^ +\w+: )Of (?!course)", re.MULTILINE)


def strings(source: Path) -> list[ast.Constant]:
    """All strings of a file, docstrings and help texts, but for sentences with values in them."""
    nodes = list(ast.walk(ast.parse(source.read_text("utf-8"))))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    return [
        node
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts
    ]


@pytest.mark.parametrize("folder", sorted({source.parent for source in SOURCES}), ids=lambda path: path.name)
def test_no_docstring_and_no_help_line_says_only_what_a_thing_belongs_to(folder):
    found = [
        f"{source.name}:{node.lineno}: {match[0].strip()}"
        for source in folder.glob("*.py")
        for node in strings(source)
        if (match := OPENS_WITH_OF.search(node.value))
    ]
    assert not found, "say what it is: a random seed, a folder, the share"
