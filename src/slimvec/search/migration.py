"""Moving an index to another model or other settings: built beside the old one, which goes on answering until the end.

The new data grow in a folder of their own, described by `next.json`; a run that was stopped is gone on with. Then
`next.json` takes the place of `index.json` in one rename, and the old data are removed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.files import storage_errors
from slimvec.search.index import Index, describe
from slimvec.search.settings import SETTINGS_NAME, IndexDescription, IndexSettings
from slimvec.search.updating import UpdateReport

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

NEXT_NAME = "next.json"


def migrate(
    folder: str | Path,
    embedder: "Embedder",
    settings: IndexSettings,
    *,
    model: str,
    revision: str | None = None,
    update: Callable[[Index], UpdateReport] = Index.update,
) -> UpdateReport:
    """Build an index anew from its sources, and switch to it at once.

    Args:
        folder: Folder of the index.
        embedder: The model from now on.
        settings: How the index is made from now on.
        model: Name of the model.
        revision: Revision of a hub name.
        update: Brings the new index up to date; for a caller that shows progress.

    Raises:
        InputError: there is no index, a source is gone, or another process writes it.
        ModelError: the model cannot serve an index.
        StorageError: it cannot be written.
    """
    folder = Path(folder).absolute()
    present = Index.open(folder)
    with present.writing(open_table=False):  # what is damaged can be built anew
        asked = describe(embedder, settings, model=model, revision=revision)
        asked = asked.model_copy(update={"sources": present.description.sources})
        described = _begun(folder, asked) or asked
        described.write(folder / NEXT_NAME)
        following = Index(folder, described, embedder=embedder, file=NEXT_NAME)
        report = update(following)
        with storage_errors(folder):
            (folder / NEXT_NAME).replace(folder / SETTINGS_NAME)
        shutil.rmtree(folder / present.description.data, ignore_errors=True)
    return report


def _begun(folder: Path, asked: IndexDescription) -> IndexDescription | None:
    """What an earlier run had begun to build, if it is the same."""
    path = folder / NEXT_NAME
    if not path.is_file():
        return None
    found = IndexDescription.read(path)
    is_same = found.settings == asked.settings and found.identity.sha256 == asked.identity.sha256
    said = {"sources": asked.sources, "model": asked.model, "revision": asked.revision}  # as they are by now
    return found.model_copy(update=said) if is_same else None
