import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from slimvec.errors import InputError, StorageError
from slimvec.files import atomic_file, atomic_folder, check_free, remove_partial, storage_errors


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path, error):
    with atomic_file(path, force=True) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_appears_whole_with_missing_parents_and_usual_permissions(tmp_path):
    path = tmp_path / "a" / "b" / "out.npy"
    with atomic_file(path) as temporary:
        np.save(temporary, np.arange(3))  # numpy appends .npy to names without it
        assert not path.exists()
    assert np.load(path).tolist() == [0, 1, 2]
    assert names(path.parent) == ["out.npy"]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_body_leaves_nothing_and_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error())
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with (
        pytest.raises(InputError, match=r"output .*out\.txt exists; expected a new path; pass --force"),
        atomic_file(path),
    ):
        pytest.fail("the body must not run")
    with atomic_file(path, force=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_files_folders_and_devices_are_not_mixed_up(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a folder; expected a path for a file"):
        atomic_file(tmp_path, force=True).__enter__()
    with pytest.raises(InputError, match="is a file; expected a path for a folder"):
        atomic_folder(tmp_path / "file", force=True).__enter__()
    with pytest.raises(InputError, match="is a device or a pipe"):
        atomic_file("/dev/null", force=True).__enter__()


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "a" / "model"
    with atomic_folder(path) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "x").write_text("1")
        assert not path.exists()
    assert (path / "inner" / "x").read_text() == "1"
    assert names(path.parent) == ["model"]


def test_a_folder_is_replaced_with_force_only_and_kept_on_error(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    with atomic_folder(path) as temporary:  # an empty folder is no loss
        (temporary / "old").touch()
    with pytest.raises(InputError, match="pass --force"):
        atomic_folder(path).__enter__()
    with pytest.raises(RuntimeError), atomic_folder(path, force=True) as temporary:
        raise RuntimeError
    assert names(path) == ["old"]
    with atomic_folder(path, force=True) as temporary:
        (temporary / "new").touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["model"]


def test_the_old_folder_comes_back_when_the_swap_fails(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    rename = type(path).rename

    def failing(self, target):
        if self.name.endswith(".partial"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", failing)
    with pytest.raises(StorageError), atomic_folder(path, force=True):
        pass
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


def test_force_never_replaces_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for path in (".", "..", tmp_path, "/"):
        with pytest.raises(InputError, match="holds the folder you are in"):
            atomic_folder(path, force=True).__enter__()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x"), "no space left on device; free some space or choose another place"),
        (OSError(errno.EDQUOT, "x"), "disk quota exceeded; free some space or choose another place"),
        (OSError("512 requested and 3 written"), "no space left on device; free some space"),  # numpy
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left on device"),  # safetensors
        (OSError(errno.EACCES, "x"), "permission denied; choose another place"),
        (OSError(errno.EROFS, "x"), "read-only file system; choose another place"),
    ],
)
def test_refusals_of_the_system_become_one_line(tmp_path, error, message):
    path = tmp_path / "out"
    with pytest.raises(StorageError, match=re.escape(f"cannot write {path}: {message}")):
        write_half(path, error)
    assert names(tmp_path) == []


def test_an_input_that_cannot_be_read_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(PermissionError), storage_errors(tmp_path / "out" / "file"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "elsewhere" / "input"))
    with pytest.raises(StorageError), storage_errors(tmp_path / "out" / "file"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "out"))


def test_a_parent_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a parent is a file"):
        atomic_file(tmp_path / "file" / "x" / "out").__enter__()


def test_a_full_device_is_one_line():
    with pytest.raises(StorageError, match="no space left on device"), storage_errors("/dev/full"):
        Path("/dev/full").write_bytes(b"x")


def test_a_killed_writer_leaves_nothing_visible_and_its_rest_can_be_removed(tmp_path):
    script = """
        import sys, time
        from slimvec.files import atomic_folder
        with atomic_folder(sys.argv[1]) as temporary:
            (temporary / "half").write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """
    path = tmp_path / "model"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not path.exists()
    with atomic_folder(tmp_path / "model.v2"):
        remove_partial(path)
        assert len(names(tmp_path)) == 1  # the other writer's, whose name begins alike
    assert names(tmp_path) == ["model.v2"]


def test_check_free_sees_dangling_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists"):
        check_free(tmp_path / "link", force=False)
    check_free(tmp_path / "link", force=True)
    check_free(tmp_path / "free", force=False)
