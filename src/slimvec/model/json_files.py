"""JSON files of model folders, read and written."""

import json
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as people read it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, *, missing: Any = None) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        missing: What a file that is not there stands for; None if it must be there.

    Raises:
        ModelError: it cannot be read.
    """
    if missing is not None and not path.is_file():
        return missing
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", expected="JSON") from error


def read_object(path: Path, *, missing: bool = False) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        missing: It may be missing; that is an empty object.

    Raises:
        ModelError: it cannot be read, or holds something else.
    """
    content = read_json(path, missing={} if missing else None)
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}", expected="a JSON object")
    return content
