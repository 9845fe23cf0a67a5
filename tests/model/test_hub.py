"""Hub names in processes of their own, with the real package: from a server on the loopback, then from its cache."""

import json
import os
import subprocess
import sys

import torch

from slimvec.model.builtin import BUILTINS
from slimvec.model.folder import save_model
from tests.model.hub_server import COMMIT, hub_of
from tests.tiny import embedding_model

SCRIPT = """
import json, sys
from slimvec.errors import SlimvecError
from slimvec.model.sources import describe_source, find_source, resolve_source
from slimvec.model.tokenizer_sources import open_tokenizer
answers = []
for name, revision in json.loads(sys.argv[1]):
    try:
        folder = resolve_source(name, revision=revision)
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        answers.append([describe_source(folder).name, folder.name, files, str(find_source(name)) == str(folder)])
        open_tokenizer(name)
    except SlimvecError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


def ask(names, home, **settings):
    """Resolve names in a fresh process, where nothing has imported parts of the package by chance."""
    kept = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_ENDPOINT")}
    environment = {**kept, "HF_HOME": str(home), "HF_TOKEN": "", "NO_PROXY": "127.0.0.1", **settings}
    command = [sys.executable, "-c", SCRIPT, json.dumps(names)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_hub_name_is_fetched_once_and_found_again_without_a_network(tmp_path):
    save_model(embedding_model(), tmp_path / "tiny")
    (tmp_path / "tiny" / "pytorch_model.bin").write_bytes(b"not wanted beside safetensors")
    plain = tmp_path / "old"
    plain.mkdir()
    (plain / "config.json").write_text("{}")
    torch.save({}, plain / "pytorch_model.bin")
    repositories = {"org/tiny": tmp_path / "tiny", "org/old": plain, "org/gated": "GatedRepo"}
    names = [["org/tiny", None], ["org/tiny", "v9"], ["org/gated", None], ["org/absent", None], ["org/old", None]]
    with hub_of(repositories) as server:
        found, revision, gated, absent, old, old_tokenizer = ask(names, tmp_path / "home", HF_ENDPOINT=server.url)
    assert found[:2] == ["org/tiny", COMMIT]
    assert {"config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"} <= {*found[2]}
    assert "pytorch_model.bin" not in found[2]
    assert found[3]
    assert revision == "org/tiny at revision v9 is not on the hub; check the revision"
    assert gated == "org/gated is gated; accept its terms on the hub and log in: hf auth login"
    assert absent == "org/absent is neither a folder nor on the hub; check the name, or log in if it is private"
    assert old[2] == ["config.json", "pytorch_model.bin"], "a model with nothing else comes with its .bin"
    assert old_tokenizer == "org/old has no tokenizer.json on the hub; expected a model with its tokenizer"
    again, lost = ask([["org/tiny", None], ["org/absent", None]], tmp_path / "home", HF_HUB_OFFLINE="1")
    assert again == found
    assert lost.startswith("org/absent is no folder, not in the hub's cache, and could not be downloaded (")
    assert lost.endswith(f"check the network and HF_HUB_OFFLINE, or use one of {', '.join(BUILTINS)}")


def test_a_damaged_file_of_a_snapshot_is_downloaded_again_or_refused(tmp_path):
    save_model(embedding_model(), tmp_path / "tiny")
    expected = (tmp_path / "tiny/model.safetensors").read_bytes()
    home = tmp_path / "home"
    snapshot = home / "hub/models--org--tiny/snapshots" / COMMIT / "model.safetensors"
    with hub_of({"org/tiny": tmp_path / "tiny"}) as server:
        for _ in range(2):
            ask([["org/tiny", None]], home, HF_ENDPOINT=server.url)
            assert snapshot.read_bytes() == expected
            snapshot.resolve().write_bytes(expected[:-1] + bytes([expected[-1] ^ 1]))
    [answer] = ask([["org/tiny", None]], home, HF_HUB_OFFLINE="1")
    assert "model.safetensors was changed after it was written, and " in answer
    assert answer.endswith(f"check the network and HF_HUB_OFFLINE, or use one of {', '.join(BUILTINS)}")
