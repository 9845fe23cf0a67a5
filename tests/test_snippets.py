"""The pages' Python, run as it stands, page by page, with a tiny model for whatever a page loads."""

import re

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.model.folder import load_model, save_model
from tests import tiny
from tests.claims import ROOT

PAGES = ("README.md", "docs/models.md", "docs/python.md", "docs/reranking.md", "docs/search.md")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
DOCUMENTS = ["shutil.copy: Copy data and mode.", "A red fruit.", "How several processes share a gradient."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a language model that is wide enough for the widths that pages name, and embeds."""
    folder = tmp_path_factory.mktemp("model")
    tiny.save_causal_model(folder / "base", hidden_size=128)
    save_model(load_model(folder / "base"), folder / "model")
    return folder / "model"


@pytest.fixture
def namespace(model, tmp_path, monkeypatch):
    """What a page's reader has: the model under any name, and files and texts of their own."""
    load = Embedder.load.__func__
    monkeypatch.setattr(Embedder, "load", classmethod(lambda cls, _, **settings: load(cls, model, **settings)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "notes").mkdir()
    for number, text in enumerate(DOCUMENTS):
        (tmp_path / "notes" / f"{number}.md").write_text(f"# Note\n\n{text}\n", encoding="utf-8")
    return {
        "documents": DOCUMENTS,
        "cosines": np.linspace(0, 1, len(DOCUMENTS), dtype=np.float32),
        "embedder": Embedder.load("any"),
    }


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, namespace):
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
