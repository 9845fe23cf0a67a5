"""Commands where the kernel refuses: limits on the size of files, places that are read-only. Nothing is replaced."""

import os
import sys
from pathlib import Path

import pytest

from tests.forking import Child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts and limits as Linux has them")

LIMITED = {
    "embed to npy": (("embed", "-m", "MODEL", "--role", "document", "-i", "many.txt"), "v.npy"),
    "embed to parquet": (("embed", "-m", "MODEL", "--role", "document", "-i", "many.txt"), "v.parquet"),
    "merge": (("merge", "MODEL", "MODEL"), "merged"),
}
WRITERS = {**LIMITED, "evaluate": (("evaluate", "-m", "MODEL", "-d", "set"), "results.json")}


@pytest.fixture
def work(tmp_path):
    """A folder with inputs, and an empty one for what is written."""
    (tmp_path / "many.txt").write_text("".join(f"line {number}\n" for number in range(320)), encoding="utf-8")
    (tmp_path / "set").mkdir()
    for name, row in {
        "corpus": '{"id": "d", "text": "a file"}',
        "queries": '{"id": "q", "text": "which file"}',
        "qrels": '{"query_id": "q", "doc_id": "d", "score": 1}',
    }.items():
        (tmp_path / "set" / f"{name}.jsonl").write_text(f"{row}\n")
    (tmp_path / "place").mkdir()
    return tmp_path


def run(stage, work, model, arguments, output, **conditions):
    """Run a command that writes into `place`; exit code, stderr, and what it left there."""
    words = [model if word == "MODEL" else word for word in arguments]
    child = Child(stage, work, *words, "--quiet", "-o", work / "place" / output, **conditions)
    code, _ = child.wait()
    (work / "place").chmod(0o755)  # where it could not be mounted read-only
    return code, child.errors, [path.name for path in (work / "place").iterdir()]


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_on_the_size_of_files(name, stage, work, model):
    arguments, output = LIMITED[name]
    code, said, left = run(stage, work, model, arguments, output, limit=20_000)
    assert (code, left, said.count("\n")) == (2, [], 1), said
    assert said.startswith("error: cannot write")
    assert said.endswith("larger than the limit on the size of files; free some space or choose another place\n")


@pytest.mark.parametrize("name", WRITERS)
def test_a_place_that_is_read_only(name, stage, work, model):
    arguments, output = WRITERS[name]
    code, said, left = run(stage, work, model, arguments, output, read_only=[str(work / "place")])
    assert (code, left, said.count("\n")) == (2, [], 1), said
    assert said.startswith("error: cannot write")
    assert "read-only file system" in said or "permission denied" in said.lower()


def test_inputs_and_a_cache_that_are_read_only(stage, work, model):
    frozen = [str(model.parent), str(work / "set"), os.environ["SLIMVEC_CACHE"]]
    arguments, output = WRITERS["evaluate"]
    code, said, left = run(stage, work, model, arguments, output, read_only=frozen)
    for folder in frozen:
        Path(folder).chmod(0o755)
    assert (code, said, left) == (0, "", [output])
