"""`slimvec serve`: models behind an API."""

from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.models import load_embedder
from slimvec.cli.options import DimsOption, DtypeOption, Role
from slimvec.cli.terminal import Result, Terminal
from slimvec.optional import require

KEYS = {
    "url": "where it served",
    "models": "by name, the identity of each model",
}


def serve(
    terminal: Terminal,
    *,
    model: Annotated[
        list[str],
        typer.Option(
            "--model", "-m", help="A model as everywhere, or NAME=MODEL. Several times for several.", metavar="M"
        ),
    ],
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
    require("uvicorn", purpose="serve")
    require("fastapi", purpose="serve")
    from slimvec.serving.keys import ApiKeys
    from slimvec.serving.run import LOOPBACK_NAMES, address, bind, check_exposure, is_loopback

    opened = None if keys is None else ApiKeys.read(keys)
    check_exposure(host, has_keys=opened is not None, allow_open=allow_open)
    hosts = [*LOOPBACK_NAMES, *(allow_host or [])] if is_loopback(host) else allow_host or []
    listening = bind(host, port)
    with listening:
        from slimvec.serving.app import create_app
        from slimvec.serving.logs import stderr
        from slimvec.serving.run import serve as run
        from slimvec.serving.served import Models, ServedModel
        from slimvec.serving.settings import ServerSettings

        settings = ServerSettings(
            input_type=input_type,
            long_texts="refuse" if refuse_long else "cut",
            max_texts=max_texts,
            max_body_bytes=max_body_mb << 20,
            max_wait_seconds=min(max_wait, timeout),
            request_seconds=timeout,
        )
        models = Models(
            [
                ServedModel.of(name, source, load_embedder(terminal, source, dtype=dtype, dims=dims), settings)
                for name, source in map(_named, model)
            ]
        )
        app = create_app(models, settings, keys=opened, hosts=hosts, log_to=None if terminal.quiet else stderr())
        url = address(listening)
        terminal.remark(f"serving {', '.join(model.name for model in models)} at {url}; Ctrl-C stops it")
        run(app, settings, listening)
    return {"url": url, "models": {model.name: model.identity.sha256 for model in models}}


def _named(given: str) -> tuple[str, str]:
    """Split NAME=MODEL; a model without a name gets the last part of its source."""
    name, sign, source = given.partition("=")
    if sign and "/" not in name and source:
        return name, source
    path = Path(given)
    return (path.stem if path.suffix == ".gguf" else path.name) or path.resolve().name, given
