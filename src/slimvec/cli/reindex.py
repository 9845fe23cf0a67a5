"""`slimvec reindex`: an index moved to another model or other settings."""

from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.index import (
    KEYS,
    ApproximateOption,
    ChunkTokensOption,
    LateOption,
    VectorsOption,
    describe_update,
    update_index,
)
from slimvec.cli.models import load_embedder
from slimvec.cli.options import DimsOption, DtypeOption, RevisionOption
from slimvec.cli.terminal import Result, Terminal

__all__ = ["KEYS", "reindex"]


def reindex(
    terminal: Terminal,
    *,
    index: Annotated[Path, typer.Argument(help="What `slimvec index` made.", metavar="INDEX")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model from now on; default the index's own.", metavar="M")
    ] = None,
    revision: RevisionOption = None,
    dtype: DtypeOption = "auto",
    dims: DimsOption = None,
    vectors: VectorsOption = None,
    chunk_tokens: ChunkTokensOption = None,
    late: LateOption = None,
    field: Annotated[str | None, typer.Option(help="Field with the text in tables.", metavar="F")] = None,
    approximate: ApproximateOption = None,
) -> Result:
    """Build an index anew, for another model or with other settings.

    It is built beside the old one, which answers searches until the new one is whole and takes its place at once. What
    is not named stays as it was; dims are the new model's own unless they are given. A run that was stopped is gone on
    with by the same command.
    """
    from slimvec.search.index import Index, chosen_chunk_tokens
    from slimvec.search.migration import migrate
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription, IndexSettings

    terminal.kept = lambda: f"{index} is as it was; run the same command again to go on"
    said = IndexDescription.read(index / SETTINGS_NAME)
    name, width = model or said.model, dims
    if model is None and dims is None:
        width = said.identity.spec.dims
    embedder = load_embedder(terminal, name, revision=revision if model else said.revision, dtype=dtype, dims=width)
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
        revision=revision if model else said.revision,
        update=lambda new: update_index(terminal, new, (), approximate=approximate),
    )
    return describe_update(terminal, Index.open(index, embedder=embedder), report)
