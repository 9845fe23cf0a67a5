"""`slimvec key`: a key that opens a server."""

from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError

KEYS = {
    "name": "of the key",
    "key": "the key itself, which is stored nowhere",
    "line": "its line in the file of keys: the name and the SHA-256",
    "to": "path of the file; null without --to",
}


def key(
    terminal: Terminal,
    *,
    name: Annotated[str, typer.Argument(help="Whose key it is; the server's log names it.", metavar="NAME")],
    to: Annotated[Path | None, typer.Option(help="File of keys to add it to.", metavar="F")] = None,
) -> Result:
    """Make a key for slimvec serve --keys.

    The key is printed once. The file holds its SHA-256 alone.
    """
    from slimvec.serving.keys import key_line, new_key

    made = new_key()
    line = key_line(name, made)
    if to is not None:
        _add(to, name, line)
    terminal.print(f"{name}: {made}")
    if to is None:
        terminal.print(f"for the file of keys: {line}")
    return {"name": name, "key": made, "line": line, "to": None if to is None else str(to)}


def _add(path: Path, name: str, line: str) -> None:
    """Add a line to a file of keys, which only its owner may read.

    Raises:
        InputError: the name is there already.
        StorageError: it cannot be written.
    """
    from slimvec.files import atomic_file

    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(known.split(" ")[0] == name for known in before.splitlines()):
        raise InputError(f"{path} has a key {name}", expected="a new name", do="remove its line first")
    with atomic_file(path, force=True) as temporary:
        temporary.write_text(f"{before}{line}\n", encoding="utf-8")
    path.chmod(0o600)
