import json

import datasets
import pytest

from slimvec.data.hub import HubSource, hub_source
from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.errors import FetchError, InputError
from slimvec.optional import require


@pytest.fixture(autouse=True)
def _own_datasets_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))


def test_addresses():
    assert hub_source("hf:owner/name") == HubSource("owner/name", None, None, "train")
    assert hub_source("hf:owner/name:en") == HubSource("owner/name", None, "en", "train")
    assert hub_source("hf:owner/name::dev") == HubSource("owner/name", None, None, "dev")
    assert hub_source("hf:owner/name@v1:en:dev") == HubSource("owner/name", "v1", "en", "dev")
    with pytest.raises(InputError, match=r"hub dataset 'hf:a/b:c:d:e'; expected hf:owner/name\[@revision\]"):
        hub_source("hf:a/b:c:d:e")


def test_a_dataset_of_local_files_is_streamed(tmp_path):
    rows = [{"query": f"q{n}", "positive": "p", "negatives": ["n"], "extra": n} for n in range(3)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(read_records(f"hf:{tmp_path}::test"))
    assert found == [Record(f"q{n}", ("p",), ("n",), source=str(tmp_path)) for n in range(3)]
    with pytest.raises(FetchError, match=r"hf:.*::dev cannot be read at all: .*expected a dataset, configuration and"):
        list(read_records(f"hf:{tmp_path}::dev"))


def test_a_malformed_row_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"query": "q", "positive": "p"}\n{"query": "q", "positive": ""}\n')
    with pytest.raises(InputError, match=r"hf:.* row 2: positive is empty"):
        list(read_records(f"hf:{tmp_path}"))


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setattr("slimvec.optional.find_spec", lambda _: None)
    message = r"reading hf:a/b needs the package datasets, which is not installed; install it with pip install 'slim"
    with pytest.raises(InputError, match=message):
        list(read_records("hf:a/b"))
    with pytest.raises(InputError, match=r"'slimvec\[hub\]'"):
        require("datasets", purpose="x")
