"""`slimvec reindex`: an index moved to another model or other settings."""

from pathlib import Path

from slimvec.cli.index import KEYS, VectorsName, describe_update, update_index
from slimvec.cli.models import load_embedder
from slimvec.cli.options import Loading
from slimvec.cli.terminal import Result, Terminal

__all__ = ["KEYS", "reindex"]


def reindex(
    terminal: Terminal,
    *,
    index: Path,
    model: str | None = None,
    loading: Loading,
    vectors: VectorsName | None = None,
    chunk_tokens: int | None = None,
    late: bool | None = None,
    field: str | None = None,
    approximate: bool | None = None,
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

    terminal.kept = lambda: f"{index} is as it was; run the same command again to go on"
    said = IndexDescription.read(index / SETTINGS_NAME)
    name, width, revision = model or said.model, loading.dims, loading.revision if model else said.revision
    if model is None and width is None:
        width = said.identity.spec.dims
    embedder = load_embedder(terminal, name, Loading(width, loading.dtype, revision))
    asked = {"vectors": vectors, "late": late, "field": field}
    settings = IndexSettings.model_validate(
        {
            **said.settings.model_dump(),
            **{key: value for key, value in asked.items() if value is not None},
            "chunk_tokens": chosen_chunk_tokens(embedder, chunk_tokens or said.settings.chunk_tokens),
        }
    )
    report = migrate(
        index,
        embedder,
        settings,
        model=name,
        revision=revision,
        update=lambda new: update_index(terminal, new, (), approximate=approximate),
    )
    return describe_update(terminal, Index.open(index, embedder=embedder), report)
