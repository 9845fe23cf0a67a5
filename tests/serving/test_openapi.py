"""The OpenAPI document is kept: no request of its kind, or nearly so, is answered with a fault of the server's."""

from contextlib import suppress

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from benchmarks.fuzz_server import ask, drawn

_EXAMPLES = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


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


def test_malformed_requests_are_answered_with_an_error_of_openais_form(searching):
    answered = []
    with searching.client() as client:
        drawn(lambda path, body: answered.append(ask(client, path, body)), 160)
        for content in (
            b"[" * 100_000,
            b'{"input": "\\ud800", "model": "tiny"}',
            b"9" * 5000,
            b"\xff\xfe",
            b"NaN",
            b"",
        ):
            assert ask(client, "/v1/embeddings", content) == 400
        body = b'{"input": "a", "model": "tiny"}'
        response = client.post("/v1/embeddings", content=body, headers={"Content-Type": "text/xml"})
        assert response.status_code in (400, 415)
    assert sum(status == 400 for status in answered) > 60
    assert '"error"' not in searching.log.getvalue()
