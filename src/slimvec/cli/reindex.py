"""`slimvec reindex`: an index moved to another model or other settings."""

from dataclasses import replace
from pathlib import Path

from slimvec.cli.failures import AGAIN
from slimvec.cli.index import KEYS, IndexOptions, describe_update, index_model, update_index
from slimvec.cli.models import load_embedder
from slimvec.cli.terminal import Result, Terminal

__all__ = ["KEYS", "reindex"]


def reindex(
    terminal: Terminal,
    *,
    index: Path,
    model: str | None = None,
    options: IndexOptions,
) -> Result:
    """Build an index anew, for another model or with other settings.

    It is built beside the old one, which answers searches until the new one is whole and takes its place at once. What
    is not named stays as it was; dims are the new model's own unless they are given. A run that was stopped is gone on
    with by the same command.

    Positional:
        index INDEX: What `slimvec index` made.

    Options:
        model -m M: Model from now on; default the index's own.
        field F: Field with the text in tables.
    """
    from slimvec.search.index import Index, chosen_chunk_tokens
    from slimvec.search.migration import migrate
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription, IndexSettings

    terminal.kept = lambda: f"{index} is as it was; {AGAIN} to go on"
    said = IndexDescription.read(index / SETTINGS_NAME)
    name, loading = index_model(said, model, options)
    if model is not None or options.dims is not None:
        loading = replace(loading, dims=options.dims)
    embedder = load_embedder(terminal, name, loading)
    asked = said.settings.model_dump() | options.settings
    asked["chunk_tokens"] = chosen_chunk_tokens(embedder, asked["chunk_tokens"])
    settings = IndexSettings.model_validate(asked)
    report = migrate(
        index,
        embedder,
        settings,
        model=name,
        revision=loading.revision,
        update=lambda new: update_index(terminal, new, approximate=options.approximate),
    )
    return describe_update(terminal, Index.open(index, embedder=embedder), report)
