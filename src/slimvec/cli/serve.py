"""`slimvec serve`: models behind an API."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slimvec.cli.models import load_embedder, model_or_default
from slimvec.cli.options import DimsOption, DtypeOption, Role
from slimvec.cli.terminal import Result, Terminal
from slimvec.optional import require

if TYPE_CHECKING:
    from slimvec.serving.served import Models
    from slimvec.serving.settings import ServerSettings

KEYS = {
    "url": "where it served",
    "models": "by name, the identity of each model",
}


def serve(
    terminal: Terminal,
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model as everywhere, or NAME=MODEL; several times for several. Default the index's, or slimvec-en.",
            metavar="M",
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", "-x", help="What `slimvec index` made, to be searched.", metavar="INDEX")
    ] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder that `slimvec probe --output` wrote about such a model, for the page.", metavar="FOLDER"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option(help="File of keys that open it, made with slimvec key.", metavar="F")
    ] = None,
    allow_open: Annotated[bool, typer.Option("--allow-open", help="Serve other machines without keys.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name that requests may call it by, beside localhost.", metavar="NAME")
    ] = None,
    input_type: Annotated[Role, typer.Option(help="Role of texts whose request does not say it.")] = "document",
    refuse_long: Annotated[
        bool, typer.Option("--refuse-long", help="Refuse texts over the model's limit; else they are cut, and counted.")
    ] = False,
    max_texts: Annotated[int, typer.Option(min=1, help="Most texts in a request.")] = 2048,
    max_body_mb: Annotated[int, typer.Option(min=1, help="Largest body of a request, in megabytes.")] = 8,
    max_wait: Annotated[
        float, typer.Option(min=0.1, help="Seconds of expected waiting beyond which requests get 429.")
    ] = 30.0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds from a request to its answer.")] = 120.0,
    dims: DimsOption = None,
    dtype: DtypeOption = "auto",
) -> Result:
    """Serve models as OpenAI's API and text-embeddings-inference do.

    Ctrl-C or SIGTERM stops it: what it has taken is finished first. Its log on stderr has a line of JSON a request,
    without any text.
    """
    if not model and index is None:
        model = [model_or_default(terminal, None)]
    require("uvicorn", purpose="serve")
    require("fastapi", purpose="serve")
    from slimvec.serving.keys import ApiKeys
    from slimvec.serving.run import LOOPBACK_NAMES, address, bind, check_exposure, is_loopback

    opened = None if keys is None else ApiKeys.read(keys)
    check_exposure(host, has_keys=opened is not None, allow_open=allow_open)
    hosts = [*LOOPBACK_NAMES, *(allow_host or [])] if is_loopback(host) else allow_host or []
    with bind(host, port) as listening:
        from slimvec.serving.app import create_app
        from slimvec.serving.logs import stderr
        from slimvec.serving.report_routes import read_report
        from slimvec.serving.run import serve as run
        from slimvec.serving.search_routes import ServedIndex
        from slimvec.serving.settings import ServerSettings

        settings = ServerSettings(
            input_type=input_type,
            long_texts="refuse" if refuse_long else "cut",
            max_texts=max_texts,
            max_body_bytes=max_body_mb << 20,
            max_wait_seconds=min(max_wait, timeout),
            request_seconds=timeout,
        )
        models = _load(terminal, _sources(model or [], index, dims), dtype, settings)
        served = None if index is None else ServedIndex.open(index, models)
        reports = [read_report(folder, models) for folder in report or []]
        log = None if terminal.quiet else stderr()
        app = create_app(models, settings, index=served, reports=reports, keys=opened, hosts=hosts, log_to=log)
        url = address(listening)
        terminal.waits_for = "the requests it has taken"
        terminal.remark(f"serving {', '.join(found.name for found in models)} at {url}; Ctrl-C stops it")
        run(app, settings, listening)
    return {"url": url, "models": {found.name: found.identity.sha256 for found in models}}


@dataclass(frozen=True)
class _Source:
    """A model to be loaded."""

    name: str
    source: str
    revision: str | None
    dims: int | None


def _sources(given: Sequence[str], index: Path | None, dims: int | None) -> list[_Source]:
    """Say which models are loaded: those asked for, or the index's.

    Raises:
        InputError: there is no index.
    """
    if given or index is None:
        return [_Source(*_named(one), revision=None, dims=dims) for one in given]
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription

    said = IndexDescription.read(index / SETTINGS_NAME)
    return [_Source(_named(said.model)[0], said.model, said.revision, said.identity.spec.dims)]


def _load(terminal: Terminal, sources: Sequence[_Source], dtype: str, settings: "ServerSettings") -> "Models":
    """Load models, each with a queue in front of it."""
    from slimvec.serving.served import Models, ServedModel

    found = []
    for one in sources:
        embedder = load_embedder(terminal, one.source, revision=one.revision, dtype=dtype, dims=one.dims)
        found.append(ServedModel.of(one.name, one.source, embedder, settings))
    return Models(found)


def _named(given: str) -> tuple[str, str]:
    """Split NAME=MODEL; a model without a name gets the last part of its source."""
    name, sign, source = given.partition("=")
    if sign and "/" not in name and source:
        return name, source
    path = Path(given)
    return (path.stem if path.suffix == ".gguf" else path.name) or path.resolve().name, given
