import json

import httpx2
import numpy as np
import pytest
from sentence_transformers.sentence_transformer.modules import CNN

from slimvec.errors import FetchError, InputError, ModelError
from slimvec.evaluation.endpoint import BATCH_TEXTS, NUM_TRIES, EndpointModel, is_endpoint
from slimvec.evaluation.models import Prompt, Usage
from slimvec.evaluation.opening import open_evaluated
from slimvec.evaluation.peers import SentenceTransformersModel
from slimvec.model.folder import save_model
from tests import tiny

ADDRESS = "http://server:1/v1#small"


class Server:
    """Answers with the lengths of the texts, in the wrong order; first with the statuses it is given."""

    def __init__(self, *statuses):
        self.statuses, self.requests = list(statuses), []

    def __call__(self, request):
        self.requests.append(request)
        if self.statuses:
            status = self.statuses.pop(0)
            if status is None:
                raise httpx2.ConnectError("refused")
            return httpx2.Response(status, text="not now")
        texts = json.loads(request.content)["input"]
        rows = [{"index": index, "embedding": [float(len(text)), 1.0]} for index, text in enumerate(texts)]
        return httpx2.Response(200, json={"data": rows[::-1]})


def model(server, **settings):
    return EndpointModel(ADDRESS, transport=httpx2.MockTransport(server), wait=lambda _: None, **settings)


def test_texts_go_in_batches_with_their_prompt_and_come_back_in_order(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server, told = Server(), []
    peer = model(server, query_prompt="q: ", dims=2)
    prompt = peer.prompt(Usage("t", "Retrieval", "query"))
    texts = ["a" * (1 + number % 5) for number in range(BATCH_TEXTS + 3)]
    found = peer.embed(texts, role=prompt.role, task=prompt.task, on_progress=told.append)
    np.testing.assert_array_equal(found.vectors[:, 0], [len(text) + 3 for text in texts])
    assert set(found.truncated) == set(found.tokens) == {-1}
    assert told == [BATCH_TEXTS, 3]
    body = json.loads(server.requests[0].content)
    assert (body["model"], body["dimensions"], body["input"][0]) == ("small", 2, "q: a")
    assert server.requests[0].url == "http://server:1/v1/embeddings"
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert peer.card.identity is None
    assert peer.prompt(Usage("t", "STS", None)) == Prompt("", None)


def test_a_busy_server_is_asked_again():
    server = Server(429, 503, None)
    assert len(model(server).embed(["a"]).vectors) == 1
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server(401), "refused: status 401: not now; check model 'small' and OPENAI_API_KEY"),
        (Server(*[500] * NUM_TRIES), rf"did not answer in {NUM_TRIES} tries \(status 500: not now\); check that it is"),
        (Server(*[None] * NUM_TRIES), r"did not answer in 5 tries \(ConnectError: refused\)"),
        (lambda _: httpx2.Response(200, text="<html>"), "answered '<html>'; expected JSON"),
        (lambda _: httpx2.Response(200, json={"x": 1}), "expected data with index and embedding"),
        (lambda _: httpx2.Response(200, json={"data": []}), "expected 1 vectors of finite numbers"),
    ],
)
def test_what_goes_wrong_is_told(server, message):
    with pytest.raises(FetchError, match=message):
        model(server).embed(["a"])


def test_an_address_is_told_from_a_name():
    assert is_endpoint(ADDRESS)
    assert not is_endpoint("org/name")
    with pytest.raises(InputError, match=r"names no model; expected http://HOST:PORT/v1#MODEL"):
        open_evaluated("http://server:1/v1")
    with pytest.raises(InputError, match="revision of a server cannot be chosen"):
        open_evaluated(ADDRESS, revision="main")
    with pytest.raises(InputError, match="is a server, not run by slimvec"):
        open_evaluated(ADDRESS, backend="slimvec")
    assert open_evaluated(ADDRESS, dtype="auto").card.kind == "openai"


def test_what_slimvec_cannot_run_goes_through_sentence_transformers_and_says_so(tmp_path):
    save_model(tiny.embedding_model("bert", "bidirectional"), tmp_path / "m")
    (tmp_path / "m" / "slimvec.json").unlink()
    modules = json.loads((tmp_path / "m" / "modules.json").read_text())
    assert open_evaluated(str(tmp_path / "m")).card.kind == "slimvec"
    (tmp_path / "m" / "9_CNN").mkdir()
    CNN(32, out_channels=32, kernel_sizes=[1]).save(str(tmp_path / "m" / "9_CNN"))
    extra = {"idx": 9, "name": "9", "path": "9_CNN", "type": "sentence_transformers.models.CNN"}
    (tmp_path / "m" / "modules.json").write_text(json.dumps([modules[0], extra, *modules[1:]]))
    with pytest.raises(ModelError) as caught:
        open_evaluated(str(tmp_path / "m"), backend="slimvec")
    card = open_evaluated(str(tmp_path / "m")).card
    assert (card.kind, card.remark) == ("sentence-transformers", f"slimvec cannot run it: {caught.value}")


def test_prompts_of_a_peer_are_chosen_in_mteb_s_order(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "m")
    peer = SentenceTransformersModel.load(str(tmp_path / "m"), query_prompt="Q: ")
    assert peer.prompt(Usage("t", "Retrieval", "query")).text == "Q: "
    assert peer.prompt(Usage("t", "Retrieval", "document")).text == ""
    own = SentenceTransformersModel.load(str(tmp_path / "m"))
    assert own.prompt(Usage("t", "Retrieval", "query")).text.startswith("Instruct: ")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="sentence-transformers cannot load"):
        SentenceTransformersModel.load(str(tmp_path / "m"))
