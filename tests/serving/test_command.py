"""`slimvec serve` as a process: it answers, finishes what it took when it is stopped, and is not open by mistake."""

import json
import signal
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from slimvec.cli.app import run
from slimvec.engine.embedder import Embedder
from slimvec.serving.keys import ApiKeys


@pytest.fixture(scope="module")
def process(folder):
    command = [sys.executable, "-m", "slimvec", "serve", "--model", f"tiny={folder}", "--port", "0", "--json"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    url = None
    for line in started.stderr:
        if "serving tiny at " in line:
            url = line.split(" at ")[1].split(";")[0]
            break
    assert url, "the server did not start"
    yield started, url
    started.kill()
    started.wait(20)


def test_what_was_taken_is_finished_when_it_is_stopped(process, folder):
    started, url = process
    texts = [f"text number {number} " * 5 for number in range(300)]
    got = {}

    def ask():
        got["answer"] = httpx.post(
            f"{url}/v1/embeddings", json={"model": "tiny", "input": texts}, timeout=60, trust_env=False
        )

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        text = httpx.get(f"{url}/metrics", timeout=60, trust_env=False).text
        if 'slimvec_waiting_requests{model="tiny"} 1.0' in text or not asking.is_alive():
            break
    started.send_signal(signal.SIGTERM)
    asking.join(60)
    stdout, log = started.communicate(timeout=60)
    assert started.returncode == 0
    assert json.loads(stdout)["models"] == {"tiny": Embedder.load(folder).identity.sha256}
    found = np.array([row["embedding"] for row in got["answer"].json()["data"]])
    np.testing.assert_allclose(found, Embedder.load(folder).embed_documents(texts), atol=1e-5)
    assert "text number" not in log
    requests = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [(entry["path"], entry["status"]) for entry in requests][-1] == ("/v1/embeddings", 200)


def test_it_is_not_opened_to_others_without_keys(folder, capsys, tmp_path):
    assert run(["serve", "--model", str(folder), "--host", "0.0.0.0"]) == 2
    assert "--host 0.0.0.0 without --keys would serve anyone" in capsys.readouterr().err
    assert run(["serve", "--model", str(folder), "--keys", str(tmp_path / "none")]) == 2
    assert "none cannot be read" in capsys.readouterr().err
    assert run(["serve", "--model", str(folder), "--host", "192.0.2.1", "--allow-open"]) == 2
    assert "expected a free address of this machine" in capsys.readouterr().err


def test_a_key_is_printed_once_and_kept_as_a_hash(capsys, tmp_path):
    path = tmp_path / "keys.txt"
    assert run(["key", "ann", "--to", str(path), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["key"] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert run(["key", "bob", "--to", str(path)]) == 0
    keys = ApiKeys.read(path)
    assert keys.name_of(made["key"].encode()) == "ann"
    assert keys.name_of(capsys.readouterr().out.split()[1].encode()) == "bob"
    assert keys.name_of(b"sv-wrong") is None
    assert run(["key", "ann", "--to", str(path)]) == 2
    assert run(["key", "a b"]) == 2
    for content in (b"caf\xe9", b"a text of another kind\n"):
        path.write_bytes(content)
        assert run(["key", "ann", "--to", str(path)]) == 2
        assert path.read_bytes() == content
    path.write_text("# remark without an end of line")
    assert run(["key", "ann", "--to", str(path)]) == 0
    assert path.read_text().startswith("# remark without an end of line\nann ")
    assert "key name 'a b'; expected letters" in capsys.readouterr().err
