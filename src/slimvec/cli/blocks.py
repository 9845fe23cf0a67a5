"""Reading the texts of a file, and embedding them block by block, with errors that name the line."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.options import Role
from slimvec.cli.progress import Task
from slimvec.cli.terminal import Terminal
from slimvec.data.texts import Item, check_text_file, read_items
from slimvec.errors import InputError, ModelError

if TYPE_CHECKING:
    from slimvec.engine.bad_texts import OnBad
    from slimvec.engine.embedder import Embedder
    from slimvec.text.embeddings import Embeddings

BLOCK = 4096
"""Texts at once: enough to sort by length well, little enough to hold."""


def read_file(terminal: Terminal, path: Path, *, field: str) -> list[Item]:
    """Read the texts of a file. Errors as for `read_items`."""
    check_text_file(path)
    with terminal.task(f"reading {path}"):
        return list(read_items(path, field=field))


def embed_items(
    embedder: "Embedder",
    items: Iterable[Item],
    *,
    role: Role,
    task: str | None,
    progress: Task,
    titles: bool = False,
    on_bad: "OnBad" = "refuse",
) -> Iterator[tuple[list[Item], "Embeddings"]]:
    """Embed items, a block at a time.

    Args:
        embedder: The model.
        items: Any number.
        role: `query` or `document`.
        task: As for `Embedder.embed`.
        progress: Called with how many texts are done.
        titles: Embed the title too, in front of the text.
        on_bad: As for `Embedder.embed`.

    Raises:
        InputError: a text without tokens (with its place), an unknown task.
        ModelError: a text with a vector that is NaN or infinite (with its place).
    """
    from slimvec.engine.bad_texts import VectorsError, unreadable

    remaining = iter(items)
    while block := list(islice(remaining, BLOCK)):
        texts = [item.content if titles else item.text for item in block]
        try:
            yield block, embedder.embed(texts, role=role, task=task, on_bad=on_bad, on_progress=progress.advance)
        except VectorsError as error:
            bad = error.bad[0]
            found = f"{block[bad.number].place}: text {bad.start!r} {bad.reason}"
            raise ModelError(found, expected=error.expected, do="load the model with --dtype float32") from error
        except InputError as error:
            for unread in unreadable(embedder.tokenizer, texts, embedder.spec.prompts.render(role, task)):
                found = f"{block[unread.number].place}: text {unread.start!r} {unread.reason}"
                raise InputError(found, expected=error.expected, do=error.do) from error
            raise


def embed_all(
    embedder: "Embedder", items: Iterable[Item], *, role: Role, task: str | None, progress: Task, titles: bool = False
) -> "Embeddings":
    """Embed items at once. Arguments and errors as for `embed_items`."""
    from slimvec.text.embeddings import Embeddings

    blocks = embed_items(embedder, items, role=role, task=task, progress=progress, titles=titles)
    return Embeddings.joined([found for _, found in blocks], embedder.dims)
