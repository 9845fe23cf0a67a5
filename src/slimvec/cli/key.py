"""`slimvec key`: a key that opens a server."""

from pathlib import Path

from slimvec.cli.terminal import Result, Terminal

KEYS = {
    "name": "of the key",
    "key": "the key itself, which is stored nowhere",
    "line": "its line in the file of keys: the name and the SHA-256",
    "to": "path of the file; null without --to",
}


def key(
    terminal: Terminal,
    *,
    name: str,
    to: Path | None = None,
) -> Result:
    """Make a key for slimvec serve --keys.

    The key is printed once. The file holds its SHA-256 alone.

    Positional:
        name NAME: Whose key it is; the server's log names it.

    Options:
        to F: File of keys to add it to.
    """
    from slimvec.serving.keys import add_key, key_line, new_key

    made = new_key()
    line = key_line(name, made)
    if to is not None:
        add_key(to, name, line)
    terminal.print(f"{name}: {made}")
    if to is None:
        terminal.print(f"for the file of keys: {line}")
    return {"name": name, "key": made, "line": line, "to": to}
