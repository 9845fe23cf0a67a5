"""`slimvec mcp` through the protocol's own client: in memory, as a process on stdin and stdout, and over HTTP."""

import asyncio
import os
import sys
import threading

import httpx
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.search.index import Index
from slimvec.search.searching import search
from slimvec.serving.keys import ApiKeys, key_line
from slimvec.serving.run import address, bind, server_of
from slimvec.serving.settings import ServerSettings

pytest.importorskip("mcp")
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from slimvec.serving.mcp_http import mcp_app
from slimvec.serving.mcp_server import mcp_server

QUERY = "what do cats eat?"


@pytest.fixture(scope="module")
def index(library, folder):
    return Index.open(library, embedder=Embedder.load(folder))


async def ask(server, index):
    """Ask for the tools, search, and read what was found."""
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        assert sorted(tool.name for tool in tools) == ["read_document", "search"]
        assert all(tool.annotations.read_only_hint for tool in tools)
        found = (await client.call_tool("search", {"query": QUERY, "top": 3})).structured_content
        expected = search(index, QUERY, top=3)
        assert [hit["text"] for hit in found["hits"]] == [hit.text for hit in expected.hits]
        first = found["hits"][0]
        assert first["match"] in first["text"]
        read = await client.call_tool("read_document", {"path": first["path"], "passage": first["passage"]})
        assert first["text"] in read.structured_content["text"]
        for name, arguments, message in (
            ("read_document", {"path": "/etc/passwd"}, "the index has no such document"),
            ("search", {"query": QUERY, "after": "soon"}, "day 'soon'; expected a day such as"),
            ("search", {"query": "x", "top": 0}, "top"),
        ):
            refused = await client.call_tool(name, arguments)
            assert refused.is_error
            assert message in refused.content[0].text


def test_tools_in_memory(index):
    asyncio.run(ask(mcp_server(index), index))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_tools_of_a_process(index, library):
    command = ["-m", "slimvec", "mcp", "--index", str(library), "--quiet"]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    asyncio.run(ask(stdio_client(parameters), index))


def test_tools_over_http_behind_keys(index, key, tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(key_line("ann", key) + "\n")
    settings = ServerSettings()
    app = mcp_app(index, "127.0.0.1", settings, keys=ApiKeys.read(path), log_to=None)
    with bind("127.0.0.1", 0) as listening:
        server = server_of(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        url = f"{address(listening)}/mcp"

        async def with_key():
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, trust_env=False) as session:
                await ask(streamable_http_client(url, http_client=session), index)

        try:
            assert httpx.post(url, json={}, trust_env=False).status_code == 401
            asyncio.run(with_key())
            refused = httpx.post(
                url, json={}, headers={"Authorization": f"Bearer {key}", "Host": "evil.example"}, trust_env=False
            )
            assert refused.status_code in (403, 421)
        finally:
            server.should_exit = True
            thread.join(30)
