"""One writer at a time: the holder is named, a killed one frees the path, and what it left is put in order."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from slimvec.errors import InputError, StorageError
from slimvec.files import atomic_file, atomic_folder, temporary_folder
from slimvec.locks import held, reserved

PAUSED = """
    import sys, time
    from slimvec import files
    from slimvec.locks import reserved
    path = sys.argv[1]
    with reserved(path, force=True):
        {body}
        print("there", flush=True)
        time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def paused(path, body="pass"):
    """Start a process that holds a path and waits there."""
    script = textwrap.dedent(PAUSED).format(body=body.replace("\n", "\n    "))
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    return process


def test_the_second_writer_is_told_who_the_first_is(tmp_path):
    process = paused(tmp_path / "model")
    try:
        with (
            pytest.raises(
                InputError,
                match=rf"another process writes .*model: process {process.pid} on \S+ \(-c .*, since 20\d\d-\d\d-\d\d "
                r"[\d:+]+\); expected one at a time; wait for it or stop it, or choose another output",
            ),
            reserved(tmp_path / "model", force=True),
        ):
            pytest.fail("the body must not run")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with reserved(tmp_path / "model", force=False):
        assert names(tmp_path) == [".model.lock"]
    assert names(tmp_path) == []


def test_a_thread_may_ask_again_and_another_may_not(tmp_path):
    seen = []

    def other():
        try:
            with reserved(tmp_path / "out", force=False):
                seen.append("held")
        except InputError as error:
            seen.append(str(error))

    with reserved(tmp_path / "out", force=False), reserved(tmp_path / "out", force=False):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert re.search(rf"process {os.getpid()} on", seen[0])


def test_a_lock_that_is_removed_while_it_is_opened_locks_nothing(tmp_path, monkeypatch):
    """The last holder removes the file between the next one's opening and locking it."""
    from slimvec import locks

    genuine, opened = locks._lock, []

    def slow(descriptor):
        if not opened:
            opened.append(descriptor)
            (tmp_path / "lock").unlink()
        return genuine(descriptor)

    monkeypatch.setattr(locks, "_lock", slow)
    with held(tmp_path / "lock", "works", "wait"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()}")


def test_parents_are_made_and_go_again_if_nothing_comes(tmp_path):
    with reserved(tmp_path / "a/b/out", force=False):
        assert (tmp_path / "a/b").is_dir()
    assert names(tmp_path) == []
    with reserved(tmp_path / "a/b/out", force=False), atomic_file(tmp_path / "a/b/out") as temporary:
        temporary.write_text("x")
    assert names(tmp_path / "a/b") == ["out"]


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a parent is a file"), reserved(tmp_path / "file/out", force=False):
        pytest.fail("the body must not run")
    with pytest.raises(InputError, match="is a device or a pipe"), reserved("/dev/null", force=True):
        pytest.fail("the body must not run")
    with pytest.raises(InputError, match="exists; expected a new path"), reserved(tmp_path / "file", force=False):
        pytest.fail("the body must not run")
    assert names(tmp_path) == ["file"]


def test_a_lock_that_cannot_be_written_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with (
            pytest.raises(StorageError, match="larger than the limit on the size of files"),
            reserved(tmp_path / "out", force=False),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_the_partial_file_of_a_killed_writer_goes_with_the_next_run(tmp_path):
    body = "context = files.atomic_file(path); context.__enter__().write_text('half')"
    process = paused(tmp_path / "out.npy", body)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert any(".partial" in name for name in names(tmp_path))
    with reserved(tmp_path / "out.npy", force=False):
        assert names(tmp_path) == [".out.npy.lock"]


SWAP = """
import os, pathlib, signal
with files.atomic_folder(path, force=True) as building:
    (building / "new").touch()
    genuine = pathlib.Path.rename
    def rename(self, target):
        result = genuine(self, target)
        if str(target).endswith(".old"): os.kill(os.getpid(), signal.SIGKILL)
        return result
    pathlib.Path.rename = rename
"""


def test_a_folder_moved_aside_by_a_killed_writer_comes_back(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/precious").touch()
    script = textwrap.dedent(PAUSED).format(body=SWAP.strip().replace("\n", "\n    "))
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "model")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert "model" not in names(tmp_path)
    with reserved(tmp_path / "model", force=True):
        assert names(tmp_path / "model") == ["precious"]
    assert names(tmp_path) == ["model"]
    (tmp_path / "model").rename(tmp_path / ".model.0123456789ab.partial.old")
    with pytest.raises(InputError, match="exists"), reserved(tmp_path / "model", force=False):
        pytest.fail("the body must not run")
    assert names(tmp_path) == ["model"]


@pytest.mark.skipif(os.name == "nt", reason="no umask")
def test_permissions_follow_the_umask_whatever_a_library_writes(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "model") as building:
            (building / "weights").touch(mode=0o600)
            (building / "tool").touch(mode=0o700)
            (building / "open").touch()
            (building / "open").chmod(0o666)
        with atomic_file(tmp_path / "out") as temporary:
            temporary.touch(mode=0o600)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (*(tmp_path / "model").iterdir(), tmp_path / "out")}
    assert modes == {"weights": 0o640, "tool": 0o750, "open": 0o640, "out": 0o640}
    assert len(names(tmp_path / "model")) == 3


def test_a_temporary_folder_never_stays(tmp_path):
    with temporary_folder(tmp_path / "model") as folder:
        (folder / "x").touch()
        assert folder.parent == tmp_path
    assert names(tmp_path) == []
