import pytest

from tests.search.support import save_tiny, write_documents


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Folder of a tiny model."""
    folder = tmp_path_factory.mktemp("search") / "tiny"
    save_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def embedder(model):
    from slimvec.engine.embedder import Embedder

    return Embedder.load(model)


@pytest.fixture
def documents(tmp_path):
    return write_documents(tmp_path / "docs")
