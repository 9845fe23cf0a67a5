"""A small folder of documents of several kinds, and a model to index them with."""

import json

from slimvec.engine.embedder import Embedder
from slimvec.model.folder import save_model
from slimvec.search.index import Index
from tests import tiny

CATS = "# Cats\n\nCats purr loudly at night. They sleep all day.\n\n## Food\n\nA cat eats fish and drinks water.\n"
WEATHER = "The weather is fine today.\n\nRain falls on the roof, and the wind blows.\n"
CODE = 'import os\n\n\ndef open_file(path):\n    """Open a file."""\n    return os.open(path)\n'
RECORDS = [{"id": "b1", "title": "Birds", "text": "Birds sing in trees."}, {"id": "f1", "text": "Fish swim in water."}]


def write_documents(folder):
    """Write four files of four kinds."""
    folder.mkdir(exist_ok=True)
    (folder / "cats.md").write_text(CATS, encoding="utf-8")
    (folder / "weather.txt").write_text(WEATHER, encoding="utf-8")
    (folder / "files.py").write_text(CODE, encoding="utf-8")
    (folder / "animals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in RECORDS), encoding="utf-8")
    return folder


def save_tiny(folder, **settings):
    """Save a tiny model, and load it."""
    save_model(tiny.embedding_model(**settings), folder)
    return Embedder.load(folder)


def make_index(folder, embedder, source, *, model="tiny", **settings):
    """Index a folder."""
    index = Index.create(folder, embedder, model=str(model), **{"chunk_tokens": 60, **settings})
    index.update([source])
    return index


def contents(index):
    """All chunks: path, number, text and place of each."""
    index.refresh()
    return sorted(
        (path, row["number"], row["text"], row["start"], row["end"])
        for path in index.table.files()
        for row in index.chunks_of(path)
    )
