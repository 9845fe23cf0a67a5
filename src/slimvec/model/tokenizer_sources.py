"""From what a user calls a model to its tokenizer alone: of a hub name, nothing but that is fetched."""

from pathlib import Path

import tokenizers

from slimvec.model.cache import Progress
from slimvec.model.sources import hub_errors, may_be_on_hub, refuse_revision, resolve_source
from slimvec.text.tokenizer import Tokenizer, read_backend

_FILE = "tokenizer.json"
_NO_LIMIT = 1 << 30


def open_tokenizer(
    source: str | Path, *, revision: str | None = None, progress: Progress | None = None
) -> tokenizers.Tokenizer:
    """Open a tokenizer without its model, free of padding and of a limit of length.

    Args:
        source: A model as everywhere (a folder, a `.gguf` file, a built-in name, a hub name), or a file in the form of
            `tokenizer.json`, whatever it is called.
        revision: Revision of a hub name.
        progress: Called with what is fetched or converted.

    Raises:
        InputError: no such source, or a revision of something that has none.
        FetchError: it has to be fetched and cannot be.
        ModelError: there is no tokenizer, or it cannot be read.
        StorageError: the cache cannot be written.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.suffix == ".json":
        refuse_revision(source, revision, "a file")
        backend = read_backend(path)
    elif isinstance(source, str) and not path.exists() and may_be_on_hub(source):
        backend = read_backend(_fetch(source, revision))
    else:
        folder = resolve_source(source, revision=revision, progress=progress)
        backend = Tokenizer.from_folder(folder, max_tokens=_NO_LIMIT).backend
    backend.no_padding()
    backend.no_truncation()
    return backend


def _fetch(name: str, revision: str | None) -> Path:
    """Download `tokenizer.json` of a hub name through the hub's own cache."""
    from huggingface_hub import hf_hub_download  # seconds that a built-in name or a folder need not wait

    with hub_errors(name, revision):
        return Path(hf_hub_download(name, _FILE, revision=revision))
