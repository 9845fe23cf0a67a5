"""`slimvec serve`: models behind an API."""

from collections.abc import Sequence
from pathlib import Path

from slimvec.cli.index import index_model
from slimvec.cli.models import load_embedder, model_or_default
from slimvec.cli.options import Dtype, Loading, Role
from slimvec.cli.terminal import Result, Terminal
from slimvec.optional import require

KEYS = {
    "url": "where it served",
    "models": "by name, the identity of each model",
}


def serve(
    terminal: Terminal,
    *,
    model: list[str] | None = None,
    index: Path | None = None,
    report: list[Path] | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: Path | None = None,
    allow_open: bool = False,
    allow_host: list[str] | None = None,
    input_type: Role = "document",
    refuse_long: bool = False,
    max_texts: int = 2048,
    max_body_mb: int = 8,
    max_wait: float = 30.0,
    timeout: float = 120.0,
    dims: int | None = None,
    dtype: Dtype = "auto",
) -> Result:
    """Serve models as OpenAI's API and text-embeddings-inference do.

    Ctrl-C or SIGTERM stops it: what it has taken is finished first. Its log on stderr has a line of JSON a request,
    without any text.

    Options:
        model -m M: A model as everywhere, or NAME=MODEL. Default the index's, or slimvec-en.
        index -x INDEX: What `slimvec index` made, to be searched.
        report FOLDER: A folder that `slimvec probe --output` wrote about such a model, for the page.
        allow_host NAME: A name that requests may call it by, beside localhost.
        input_type: Role of texts whose request does not say it.
        refuse_long: Refuse texts over the model's limit; else they are cut, and counted.
        max_texts (from 1): Most texts in a request.
        max_body_mb (from 1): Largest body of a request, in megabytes.
        max_wait (from 0.1): Seconds of expected waiting beyond which requests get 429.
        timeout (from 1): Seconds from a request to its answer.
    """
    if not model and index is None:
        model = [model_or_default(terminal, None)]
    require("uvicorn", purpose="serve")
    require("fastapi", purpose="serve")
    from slimvec.serving.keys import ApiKeys
    from slimvec.serving.run import address, bind, check_exposure, names_of

    opened = None if keys is None else ApiKeys.read(keys)
    check_exposure(host, has_keys=opened is not None, allow_open=allow_open)
    hosts = (*names_of(host), *(allow_host or []))
    with bind(host, port) as listening:
        from slimvec.serving.app import create_app
        from slimvec.serving.logs import stderr
        from slimvec.serving.report_routes import read_report
        from slimvec.serving.run import serve as run
        from slimvec.serving.search_routes import ServedIndex
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
        loaded = [
            ServedModel.of(name, source, load_embedder(terminal, source, loading), settings)
            for name, source, loading in _sources(model or [], index, dims, dtype)
        ]
        models = Models(loaded)
        served = None if index is None else ServedIndex.open(index, models)
        reports = [read_report(folder, models) for folder in report or []]
        log = None if terminal.quiet else stderr()
        app = create_app(models, settings, index=served, reports=reports, keys=opened, hosts=hosts, log_to=log)
        url = address(listening)
        terminal.waits_for = "the requests it has taken"
        terminal.remark(f"serving {', '.join(found.name for found in models)} at {url}; Ctrl-C stops it")
        run(app, settings, listening)
    return {"url": url, "models": {found.name: found.identity.sha256 for found in models}}


def _sources(
    given: Sequence[str], index: Path | None, dims: int | None, dtype: Dtype
) -> list[tuple[str, str, Loading]]:
    """Say which models are loaded, and under which names: those asked for, or the index's.

    Raises:
        InputError: there is no index.
    """
    if given or index is None:
        return [(*_named(one), Loading(dims, dtype)) for one in given]
    from slimvec.search.settings import SETTINGS_NAME, IndexDescription

    source, loading = index_model(IndexDescription.read(index / SETTINGS_NAME), None, Loading(dims, dtype))
    return [(_named(source)[0], source, loading)]


def _named(given: str) -> tuple[str, str]:
    """Split NAME=MODEL; a model without a name gets the last part of its source."""
    name, sign, source = given.partition("=")
    if sign and "/" not in name and source:
        return name, source
    path = Path(given)
    return (path.stem if path.suffix == ".gguf" else path.name) or path.resolve().name, given
