"""Commands run within the test, on a tiny model saved once."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
from transformers.utils import logging

from slimvec.cli.app import run as run_command
from slimvec.model.folder import save_model
from tests import tiny

LINES = ["how to open a file", "what the weather is like", "reading bytes from a socket", "a tree of settings"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The last line of stdout, which must be all there is."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def error(self):
        """The only line on stderr of a command that failed, with nothing on stdout but, with `--json`, its object."""
        assert self.err.count("\n") == 1, self.err
        if self.out:
            assert self.out.count("\n") == 1
            failure = json.loads(self.out)
            assert list(failure) == ["error", "expected", "do", "code"]
            assert failure["code"] == self.code
            assert all(part is None or " ".join(part.split())[:40] in self.err for part in list(failure.values())[:3])
        return self.err.strip()

    @property
    def stopped(self):
        """The last line on stderr of a command that was sent a signal; the only other one acknowledges it."""
        first, last = self.err.splitlines()
        assert first.startswith("stopping ")
        assert first.endswith("; a second signal ends it at once")
        assert self.code == 130
        return Outcome(self.code, self.out, f"{last}\n").error


@pytest.fixture(autouse=True)
def _hushed():
    """Hush what `main` hushes by the environment, which these tests are too late for."""
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture
def slimvec(capsys, tmp_path, monkeypatch):
    """Run a command in an empty working directory, without the progress lines of a slow machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("slimvec.cli.progress.LINE_SECONDS", 1e6)

    def call(*arguments):
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def process(tmp_path):
    """Run a command as its users do, in a process of its own."""

    def call(*arguments, **settings):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings.pop("env", {})}
        done = subprocess.run(
            [sys.executable, "-m", "slimvec", *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path, env=environment, check=False, **settings,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A folder with a tiny causal model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(tiny.embedding_model(), folder)
    return folder


@pytest.fixture
def texts(tmp_path):
    """A text file."""
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return path


@pytest.fixture
def only(tmp_path):
    """Assert that a folder's files are these and no others, hidden ones included."""

    def check(*names):
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        assert found == set(names)

    return check
