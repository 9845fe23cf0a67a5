"""The OpenAPI document is kept: no request of its kind, or nearly so, is answered with a fault of the server's."""

import json
from contextlib import suppress

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

PATHS = ("/v1/embeddings", "/embed")
_EXAMPLES = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    ["input", "inputs", "model", "dimensions", "encoding_format", "input_type", "task", "truncate", "normalize", "user"]
)
nearly = st.dictionaries(fields, values | st.sampled_from(["tiny", "base64", "query", ["a"], [5, 6], 8]), max_size=6)


def test_schemathesis_finds_no_fault_of_ours(searching):
    schema = schemathesis.openapi.from_dict(searching.get("/openapi.json").json())
    with requests.Session() as session:
        session.trust_env = False
        num_asked = 0
        for operation in schema.get_all_operations():
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

                @given(case=operation.ok().as_strategy(generation_mode=mode))
                @_EXAMPLES
                def holds(case):
                    nonlocal num_asked
                    num_asked += 1
                    response = case.call(base_url=searching.url, session=session)
                    assert response.status_code < 500, response.text

                with suppress(Unsatisfiable):  # a route without parameters takes nothing that is wrong
                    holds()
        assert num_asked > 50


def check(response: httpx.Response) -> None:
    """A request that is answered badly is answered in OpenAI's form."""
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert "Traceback" not in response.text


def test_malformed_requests_are_answered_with_an_error_of_openais_form(server):
    with server.client() as client:

        @given(path=st.sampled_from(PATHS), body=st.binary(max_size=60))
        @settings(max_examples=80)
        def bytes_hold(path, body):
            response = client.post(path, content=body, headers={"Content-Type": "application/json"})
            assert 400 <= response.status_code < 500
            check(response)

        @given(path=st.sampled_from(PATHS), body=values | nearly)
        @settings(max_examples=100)
        def objects_hold(path, body):
            content = json.dumps(body).encode()
            check(client.post(path, content=content, headers={"Content-Type": "application/json"}))

        bytes_hold()
        objects_hold()
        for content in (
            b"[" * 100_000,
            b'{"input": "\\ud800", "model": "tiny"}',
            b"9" * 5000,
            b"\xff\xfe",
            b"NaN",
            b"",
        ):
            response = client.post(PATHS[0], content=content, headers={"Content-Type": "application/json"})
            assert response.status_code == 400
            check(response)
        response = client.post(
            PATHS[0], content=b'{"input": "a", "model": "tiny"}', headers={"Content-Type": "text/xml"}
        )
        assert response.status_code in (400, 415)
        check(response)
