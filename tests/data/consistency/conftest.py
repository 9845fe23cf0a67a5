from tests.data.mining.conftest import _no_flushing  # noqa: F401
