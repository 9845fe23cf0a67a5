"""Servers that the tests of a session share: one tiny model, and two behind keys."""

import pytest

from slimvec.engine.embedder import Embedder
from slimvec.probes.page import write_probe_reports
from slimvec.serving.keys import ApiKeys, key_line, new_key
from slimvec.serving.settings import ServerSettings
from tests.probes.support import report
from tests.probes.support import result as probe_result
from tests.search.support import make_index, write_documents
from tests.serving.running import running
from tests.tiny import embedding_model

HOSTILE_NAME = "<img src=x onerror=window.hacked=1>.md"
HOSTILE_TEXT = "# <script>window.hacked=1</script>\n\nTurtles <img src=x onerror=window.hacked=1> swim \u202e here.\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "tiny"
    Embedder.from_model(embedding_model(max_tokens=120)).save(path)
    return path


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Hashes of served models are kept there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIMVEC_CACHE", str(tmp_path_factory.mktemp("serving-cache")))
        yield


@pytest.fixture(scope="session")
def server(folder):
    with running({"tiny": Embedder.load(folder), "small": Embedder.load(folder, dims=8)}) as found:
        yield found


@pytest.fixture(scope="session")
def library(folder, tmp_path_factory):
    """An index over small documents, one of them hostile."""
    root = tmp_path_factory.mktemp("library")
    documents = write_documents(root / "docs")
    (documents / HOSTILE_NAME).write_text(HOSTILE_TEXT, encoding="utf-8")
    make_index(root / "index", Embedder.load(folder), documents, model=folder)
    return root / "index"


@pytest.fixture(scope="session")
def probed(folder, tmp_path_factory):
    """A folder with a probe report on the tiny model; its answer is hostile."""
    found = report(probe_result(answer=f"Right in 70.0% of the triplets. {HOSTILE_NAME}"), probe_result("length"))
    card = found.model.model_copy(update={"model_sha256": Embedder.load(folder).identity.sha256})
    path = tmp_path_factory.mktemp("probes") / "report"
    write_probe_reports(path, [found.model_copy(update={"model": card})])
    return path


@pytest.fixture(scope="session")
def searching(folder, library, probed):
    with running({"tiny": Embedder.load(folder)}, index=library, report=probed) as found:
        yield found


@pytest.fixture(scope="session")
def key():
    return new_key()


@pytest.fixture(scope="session")
def closed(folder, key, tmp_path_factory):
    """A server behind keys, with small limits."""
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(f"# ours\n{key_line('ann', key)}\n{key_line('bob', new_key())}\n")
    settings = ServerSettings(
        max_texts=3, max_body_bytes=2000, body_seconds=1.0, long_texts="refuse", input_type="query"
    )
    with running({"tiny": Embedder.load(folder)}, settings=settings, keys=ApiKeys.read(path)) as found:
        yield found
