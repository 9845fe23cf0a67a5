"""Every command line that a message, a report or a page advises is one that the command line takes.

Read from the string constants of the sources and from Markdown. In backticks and blocks of code all that follows
`slimvec` is the command; in a sentence it ends where prose goes on. Nothing is run: each line is parsed by typer, with
the commands' own signatures. What an example leaves out (`slimvec merge`) is filled in; what it says must be there.
"""

import ast
import inspect
import re
import shlex
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import typer
import typer.main
from typer.models import ArgumentInfo

from slimvec.cli.app import COMMANDS
from slimvec.cli.frame import framed
from slimvec.model.builtin import BUILTINS

ROOT = Path(__file__).parents[2]
HISTORY = {"log.md"}  # what a command was called then
GENERATED = {"commands.md"}  # by typer itself
PROSE = {
    "to",
    "or",
    "and",
    "for",
    "shows",
    "names",
    "compares",
    "with",
    "it",
    "is",
    "asks",
    "that",
    "which",
    "says",
    "of",
}
NO_COMMANDS = {"import"}
PLACEHOLDER = re.compile(r"[A-Z_][A-Z0-9_]*|.*[./=:-].*|.* .*")
"""What an argument looks like in an example: NAME, a file or address, KEY=VALUE, a text in quotes."""


FILLED = {"--role": "query"}
"""What is put in where an example leaves out what is required; a word for the others."""


def parsing_app(parsed):
    """The command line, with commands that only note what they were given."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    for name, (command, _) in COMMANDS.items():
        shell = framed(command)

        def stub(**values):
            parsed.append(values)

        stub.__signature__, stub.__annotations__ = shell.__signature__, shell.__annotations__
        app.command(name)(stub)
    return typer.main.get_command(app)


PARSED = []
APP = parsing_app(PARSED)


@cache
def complaint(line):
    """What is wrong with a command line, or None."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError as error:
        return str(error)
    words = [word for word in words if word not in ("...", "[section.key=value", "...]")]
    if not words or words[0] not in COMMANDS:
        return f"no command {words[:1]}"
    for _ in range(8):
        PARSED.clear()
        try:
            APP.main(list(words), prog_name="slimvec", standalone_mode=False)
        except typer.TyperException as error:
            said = error.format_message()
            missing = re.search(r"Missing option .*?'(--\S+)'", said)
            if missing is not None:
                words += [missing[1], FILLED.get(missing[1], "FILLED_IN")]
            elif said.startswith("Missing argument"):
                words.append("FILLED_IN")
            elif said == f"Option '{words[-1]}' requires an argument.":
                words.append("1")
            else:
                return said
            continue
        return odd_argument(words, PARSED[0])
    return "too much is missing"


def odd_argument(words, values):
    """An argument that stands where an option's value would, behind an option that takes none: a stray word."""
    command = framed(COMMANDS[words[0]][0])
    for parameter in inspect.signature(command).parameters.values():
        if any(isinstance(extra, ArgumentInfo) for extra in get_args(parameter.annotation)):
            given = values[parameter.name]
            for value in map(str, given if isinstance(given, list | tuple) else [given]):
                behind = value in words and words[words.index(value) - 1].startswith("-")
                if behind and value not in BUILTINS and not PLACEHOLDER.fullmatch(value):
                    return f"{value!r} as {parameter.name.upper()}"
    return None


def in_sentence(text):
    """Command lines within prose: they end at a mark or where words of prose go on."""
    for match in re.finditer(r"\bslimvec ([a-z]+)\b([^\n,;)`\"|]*)", text):
        words = match[2].partition(": ")[0].split()
        kept = next((words[:n] for n, word in enumerate(words) if word in PROSE), words)
        if match[1] in COMMANDS:
            yield " ".join(["slimvec", match[1], *kept]).rstrip(".:")


def in_ticks(text):
    """Command lines in backticks."""
    for match in re.finditer(r"`(slimvec [a-z][^`]*)`", text):
        yield " ".join(match[1].split())


def in_blocks(text):
    """Command lines of blocks of code, and those of indented lines."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for match in re.finditer(r"^(?: {4}| {2}|\$ )?(slimvec [a-z].*)$", joined, re.M):
        yield match[1]


def strings(path):
    """String constants of a module, f-strings with X for what they are filled with."""
    source = path.read_text(encoding="utf-8")
    if not re.search(r"slimvec [a-z]", source):
        return
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def blocks_of(text):
    """Blocks of code, and the rest."""
    parts = re.split(r"^```.*$", text, flags=re.M)
    return "\n".join(parts[1::2]), "\n".join(parts[::2])


def advised():
    """Command lines by where they stand."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for text in strings(path):
            for line in dict.fromkeys([*in_ticks(text), *in_sentence(re.sub(r"`[^`]*`", "", text))]):
                yield path.relative_to(ROOT), line
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "studies").rglob("*.md")]):
        if path.name in HISTORY | GENERATED:
            continue
        code, prose = blocks_of(path.read_text(encoding="utf-8"))
        sentences = re.sub(r"`[^`]*`", "", prose)
        flowing = re.sub(r"^(?: {4}).*$", "", sentences, flags=re.M)
        lines = dict.fromkeys([*in_blocks(code), *in_ticks(prose), *in_blocks(sentences), *in_sentence(flowing)])
        for line in lines:
            if line.split()[1] not in NO_COMMANDS and (line.split()[1] in COMMANDS or line in code):
                yield path.relative_to(ROOT), line


def test_every_advised_command_is_one_that_the_command_line_takes():
    found = list(advised())
    assert len(found) > 80  # the pages and messages were found
    wrong = [f"{place}: {line}: {said}" for place, line in found if (said := complaint(line)) is not None]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("slimvec adjust --recency fit", "'fit' as MODEL"),
        ("slimvec adjust MODEL --recency fit", "Got unexpected extra argument"),
        ("slimvec polish MODEL", "no command"),
        ("slimvec merge A B --methods slerp", "No such option"),
        ("slimvec synthesize --num many", "Invalid value"),
        ("slimvec explain 'a question", "No closing quotation"),
    ],
)
def test_wrong_advice_is_found(line, said):
    assert said in complaint(line)


def test_advice_is_found_in_sentences_ticks_and_blocks():
    text = "Try slimvec mine FILE --model M, or `slimvec merge A B`; slimvec cannot.\n    slimvec plan RECIPE\n"
    assert list(in_sentence(text)) == ["slimvec mine FILE --model M", "slimvec merge A B", "slimvec plan RECIPE"]
    assert list(in_ticks(text)) == ["slimvec merge A B"]
    assert list(in_blocks(text)) == ["slimvec plan RECIPE"]
