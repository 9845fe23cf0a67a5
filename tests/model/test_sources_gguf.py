import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
import tokenizers
import torch
import transformers

from slimvec.errors import ModelError, StorageError
from slimvec.model import gguf_conversion
from slimvec.model.cache import cache_root, read_record
from slimvec.model.gguf import convert_gguf
from slimvec.model.sources import describe_source, fetch, resolve_source
from tests.model.tiny_sources import nothing_is_left, write_gguf


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return path, write_gguf(path)


@pytest.fixture(scope="module")
def converted(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    steps = []
    versions = convert_gguf(original[0], folder, progress=lambda *step: steps.append(step))
    return folder, steps, versions


def test_a_converted_model_is_the_original(original, converted):
    folder, _, _ = converted
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values())
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert model.lm_head.weight is model.model.embed_tokens.weight
    ids = torch.arange(3, 35)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original[1](ids).logits)


def test_a_converted_model_loads_bare_without_a_warning(converted, caplog):
    _, info = transformers.AutoModel.from_pretrained(converted[0], output_loading_info=True)
    assert not any(info.values())
    assert not caplog.records


def test_a_converted_tokenizer_splits_as_the_file_says(converted):
    tokenizer = tokenizers.Tokenizer.from_file(str(converted[0] / "tokenizer.json"))
    assert tokenizer.encode("hello").tokens == ["hello"]  # and no bos
    # GPT-2's splitting, which transformers assumes, leaves the second line break to the number
    assert tokenizer.encode("a\n\n12").tokens == ["a", "\u010a\u010a", "1", "2"]


def test_a_conversion_tells_its_steps_and_versions_and_leaves_usual_permissions(converted):
    folder, steps, versions = converted
    assert [fraction for _, fraction in steps] == sorted(fraction for _, fraction in steps)
    assert "unpacking the weights" in [message for message, _ in steps]
    assert set(versions) == {"gguf", "tokenizers", "torch", "transformers"}
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith(".gguf") or name.startswith("tmp")]
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_a_file_that_is_no_gguf_is_one_line(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"no model" * 100)
    with pytest.raises(ModelError, match=r"bad\.gguf does not begin as a GGUF file does; expected a \.gguf file"):
        resolve_source(path)
    assert nothing_is_left()


def test_a_truncated_file_is_one_line(original, tmp_path):
    path = tmp_path / "half.gguf"
    path.write_bytes(original[0].read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"no readable GGUF file \(.*\); expected a complete \.gguf file"):
        gguf_conversion.read_metadata(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "bloom"}, "architecture 'bloom'; expected one of llama, mistral"),
        ({"split": "unheard-of"}, "tokenizer splitting 'unheard-of'; expected one of a.x-4.0, bloom, "),
    ],
)
def test_what_is_not_served_is_refused(tmp_path, settings, message):
    write_gguf(tmp_path / "x.gguf", **settings)
    with pytest.raises(ModelError, match=message):
        gguf_conversion.check_served(gguf_conversion.read_metadata(tmp_path / "x.gguf"))


def test_a_part_of_a_split_model_is_refused():
    with pytest.raises(ModelError, match="one part of a split model; expected a single file"):
        gguf_conversion.check_served({"general.architecture": "llama", "split.count": 3})


def test_a_tokenizer_that_leaves_out_bos_is_refused(converted):
    metadata = {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 1}
    with pytest.raises(ModelError, match="bos token: False; expected True, as the file says"):
        gguf_conversion.check_tokenizer(converted[0], metadata)


def test_missing_tensors_are_refused(tmp_path):
    path = tmp_path / "incomplete.gguf"
    write_gguf(path, drop=("blk.1.ffn_up.weight",))
    with pytest.raises(ModelError, match=r"tensors missing: .*layers\.1\.mlp\.up_proj\.weight; expected a complete"):
        gguf_conversion.read_model(path)


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ('print(\'{"error": "it is broken"}\')', ModelError, "tiny.gguf cannot be converted: it is broken"),
        ('print(\'{"error": "No space left on device"}\')', StorageError, "no space left on device; free some space"),
        ("import os; os.kill(os.getpid(), 9)", ModelError, "was killed; it may have run out of memory"),
        ("raise SystemExit('a last word')", ModelError, "cannot be converted: a last word"),
        ("raise SystemExit(7)", ModelError, "ended with 7"),
    ],
)
def test_a_conversion_that_fails_is_one_line(original, tmp_path, monkeypatch, script, error, message):
    (tmp_path / "failing_worker.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("slimvec.model.gguf._WORKER", "failing_worker")
    with pytest.raises(error, match=message):
        resolve_source(original[0])
    assert nothing_is_left()


def fill_quickly(monkeypatch, converted):
    """Let the conversion be a copy, and count it."""
    calls = []

    def copy(source, target, *, progress):
        progress("unpacking the weights", 0.3)
        calls.append(source)
        shutil.copytree(converted[0], target, dirs_exist_ok=True)
        return {"torch": "1"}

    monkeypatch.setattr("slimvec.model.sources.convert_gguf", copy)
    return calls


def test_a_file_is_converted_once_for_its_contents(original, converted, tmp_path, monkeypatch):
    calls = fill_quickly(monkeypatch, converted)
    first = resolve_source(original[0])
    shutil.copy(original[0], tmp_path / "copy.gguf")
    assert resolve_source(str(tmp_path / "copy.gguf")) == first
    assert len(calls) == 1
    record = read_record(first)
    assert (record.kind, record.name, record.versions) == ("gguf", "tiny.gguf", {"torch": "1"})
    assert describe_source(first) == record
    fetched = fetch(str(original[0]))
    assert fetched.record == record
    assert fetched.num_bytes > 10_000


def test_a_file_is_hashed_once_until_it_changes(original, converted, tmp_path, monkeypatch):
    fill_quickly(monkeypatch, converted)
    path = tmp_path / "model.gguf"
    shutil.copy(original[0], path)
    steps = []
    first = resolve_source(path, progress=lambda *step: steps.append(step[0]))
    second = resolve_source(path, progress=lambda *step: steps.append(step[0]))
    assert steps == ["hashing model.gguf", "unpacking the weights"]
    assert first == second
    with path.open("ab") as file:
        file.write(b"more")
    assert resolve_source(path, progress=lambda *step: steps.append(step[0])) != first
    assert steps.count("hashing model.gguf") == 2


def test_an_entry_without_its_record_or_with_another_is_made_again(original, converted, monkeypatch):
    calls = fill_quickly(monkeypatch, converted)
    folder = resolve_source(original[0])
    (folder / "source.json").unlink()
    assert resolve_source(original[0]) == folder
    for broken in ("{", '{"kind": "gguf", "name": "other"}'):
        (folder / "source.json").write_text(broken)
        resolve_source(original[0])
    assert len(calls) == 4
    assert read_record(folder).name == "tiny.gguf"


SCRIPT = """
    import sys, time
    from slimvec.model.sources import resolve_source

    def progress(step, fraction):
        print(step, flush=True)
        if step == sys.argv[2]:
            time.sleep(100)

    print("folder", resolve_source(sys.argv[1], progress=progress), flush=True)
"""


def start(path, stop_at=""):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), stop_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())


def test_a_killed_conversion_is_never_seen_and_two_processes_do_one(original):
    models = cache_root() / "models"
    with start(original[0], stop_at="unpacking the weights") as process:
        while process.stdout.readline().strip() != "unpacking the weights":
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    left = [path.name for path in models.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".gguf-")

    both = [start(original[0]), start(original[0])]
    outputs = [process.communicate(timeout=100)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0][-1] == outputs[1][-1]
    assert sum(output.count("unpacking the weights") for output in outputs) == 1
    assert [path.name for path in models.iterdir()] == [outputs[0][-1].rpartition("/")[2]]
    assert json.loads((resolve_source(original[0]) / "source.json").read_text())["kind"] == "gguf"
