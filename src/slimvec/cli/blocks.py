"""Embedding items of a file block by block, with errors that name the line."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from slimvec.cli.options import Role
from slimvec.cli.progress import Task
from slimvec.data.tables import located
from slimvec.data.texts import Item
from slimvec.errors import InputError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slimvec.engine.bad_texts import OnBad
    from slimvec.engine.embedder import Embedder, Embeddings

BLOCK = 4096
"""Texts at once: enough to sort by length well, little enough to hold."""


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
    from slimvec.engine.bad_texts import VectorsError

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
            raise _placed(error, embedder, block, texts, prompt=embedder.spec.prompts.render(role, task)) from error


def embed_all(
    embedder: "Embedder", items: Sequence[Item], *, role: Role, task: str | None, progress: Task, titles: bool = False
) -> tuple["NDArray[np.float32]", int]:
    """Embed items into one array [N, D], and count the truncated. Arguments and errors as for `embed_items`."""
    import numpy as np

    blocks = [
        embeddings
        for _, embeddings in embed_items(embedder, items, role=role, task=task, progress=progress, titles=titles)
    ]
    vectors = np.concatenate([embeddings.vectors for embeddings in blocks])
    return vectors, sum(embeddings.num_truncated for embeddings in blocks)


def _placed(
    error: InputError, embedder: "Embedder", items: Sequence[Item], texts: Sequence[str], *, prompt: str
) -> InputError:
    """Find the text an error is about, by tokenising one at a time, and name its place."""
    for item, text in zip(items, texts, strict=True):
        try:
            embedder.tokenizer.tokenize([text], prompt=prompt)
        except InputError as narrower:
            found = InputError(
                narrower.found.removeprefix("text 0 ").strip(), expected=narrower.expected, do=narrower.do
            )
            return located(found, item.place)
    return error
