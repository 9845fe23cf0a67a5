"""`slimvec mcp`: an index as a tool for assistants."""

from pathlib import Path

from slimvec.cli.index import open_index
from slimvec.cli.options import Dtype, Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.values import none_of
from slimvec.errors import InputError
from slimvec.optional import require

HOST, PORT = "127.0.0.1", 8001
KEYS = {
    "url": "where it served; null with stdio",
    "model": "the index's model",
}


def mcp(
    terminal: Terminal,
    *,
    index: Path,
    http: bool = False,
    host: str = HOST,
    port: int = PORT,
    keys: Path | None = None,
    allow_open: bool = False,
    dtype: Dtype = "auto",
) -> Result:
    """Let an assistant search your documents, by the Model Context Protocol.

    Put `slimvec mcp --index INDEX` into the assistant's list of servers. It can search, and read what the index holds
    of a document; it can change nothing, and read no other file.

    Options:
        http: Serve over HTTP, at /mcp; else on stdin and stdout.
        host: Address to listen at, with --http.
    """
    if terminal.json and not http:
        raise InputError("--json on stdin and stdout, where the protocol runs", expected="--json with --http alone")
    require("mcp", purpose="mcp")
    if not http:
        none_of(
            "stdin and stdout", "it with --http alone", host=host != HOST, port=port != PORT, keys=keys,
            allow_open=allow_open,
        )  # fmt: skip
        opened = open_index(terminal, index, None, Loading(dtype=dtype))
        from slimvec.serving.mcp_server import mcp_server

        terminal.remark(f"serving {index} on stdin and stdout")
        mcp_server(opened).run("stdio")
        return {"url": None, "model": opened.description.model}
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        require(package, purpose="mcp --http")
    from slimvec.serving.keys import ApiKeys
    from slimvec.serving.run import address, bind, check_exposure

    opened_keys = None if keys is None else ApiKeys.read(keys)
    check_exposure(host, has_keys=opened_keys is not None, allow_open=allow_open)
    with bind(host, port) as listening:
        opened = open_index(terminal, index, None, Loading(dtype=dtype))
        url = f"{address(listening)}/mcp"
        terminal.waits_for = "the requests it has taken"
        terminal.remark(f"serving {index} at {url}; Ctrl-C stops it")
        from slimvec.serving.logs import stderr
        from slimvec.serving.mcp_http import mcp_app
        from slimvec.serving.run import serve
        from slimvec.serving.settings import ServerSettings

        log = None if terminal.quiet else stderr()
        settings = ServerSettings()
        serve(mcp_app(opened, host, settings, keys=opened_keys, log_to=log), settings, listening)
    return {"url": url, "model": opened.description.model}
