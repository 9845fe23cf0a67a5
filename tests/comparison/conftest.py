"""A tiny study beside its data."""

import pytest
import yaml

from slimvec.comparison.study import read_study
from slimvec.model.folder import save_model
from tests import tiny
from tests.comparison.support import write_study_data

STUDY = {
    "name": "tiny",
    "question": "Which pooling?",
    "recipe": {
        "base": {"source": "${models}/tiny"},
        "data": [{"path": "${data}/pairs.jsonl"}],
        "tuning": {"rank": 2, "alpha": 4},
        "model": {"prompts": {"query": ""}},
        "batch": {"pairs": 4, "max_query_tokens": 60, "max_document_tokens": 60},
        "run": {"steps": 2, "dtype": "fp32"},
    },
    "reference": "base",
    "variants": {"base": {}, "raw": {"trained": False}},
    "evaluation": {"sets": ["words"], "max_queries": 6, "max_documents": 8},
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study-models")
    save_model(tiny.embedding_model(), folder / "tiny")
    return folder


@pytest.fixture
def data(tmp_path):
    """Pairs and a retrieval set."""
    data = tmp_path / "data"
    write_study_data(data)
    return data


@pytest.fixture
def study(tmp_path, data, models):
    """Reads the study with changes."""

    def make(**changes):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False), encoding="utf-8")
        return read_study(path, folders={"data": data, "models": models})

    return make


class Quiet:
    """Keeps what a study tells."""

    def __init__(self):
        self.begun, self.trained, self.num_texts = [], [], 0

    def begin(self, run, number, total):  # noqa: ARG002
        self.begun.append((run.variant, run.seed))

    def train(self, training):
        self.trained.append((training.name, training.seed))
        return []

    def scored(self, texts):
        self.num_texts += texts


@pytest.fixture
def quiet():
    return Quiet()
