import pytest


@pytest.mark.parametrize("option", ["--port=9000", "--host=::1", "--keys=keys.txt", "--allow-open"])
def test_what_only_http_has_is_refused_without_it(slimvec, option):
    outcome = slimvec("mcp", "--index", "ix", option)
    name = option.partition("=")[0]
    said = f"error: {name} beside stdin and stdout, where it says nothing; expected it with --http alone"
    assert (outcome.code, outcome.error) == (2, said)
