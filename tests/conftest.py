"""Settings of every test: one thread each, hypothesis without a clock, no hub, a list of what was skipped."""

import os
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes that tests start have one thread each, too

import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.skips import PATH, SkipList

settings.register_profile(
    "slimvec", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], max_examples=12
)
settings.load_profile("slimvec")


def pytest_configure(config):
    """List what is skipped; with several processes, in the one that hears of all tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipList(config.rootpath / PATH))


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def stage():
    """A process with everything imported that forks commands (`tests.forking`), one for all tests of this process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SLIMVEC_KERNELS": "off"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.forking"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Give every test a cache of its own, so that none reads what a user has."""
    monkeypatch.setenv("SLIMVEC_CACHE", str(tmp_path_factory.mktemp("cache")))
