"""The tutorial, followed to the letter on files that anyone might have, with a tiny model for the base it names."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml

from slimvec.cli.app import run
from slimvec.model.folder import save_model
from tests import tiny
from tests.claims import ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
TOPICS = (
    "backups",
    "printers",
    "holidays",
    "budget",
    "parking",
    "coffee",
    "passwords",
    "chairs",
    "visitors",
    "bicycles",
)


def block(language):
    """The only block of a language on the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """A folder with notes, and with the files that the tutorial has one save."""
    monkeypatch.chdir(tmp_path)
    notes = tmp_path / "notes"
    notes.mkdir()
    for number, topic in enumerate(TOPICS):
        sections = [
            f"## What was decided about {topic} in week {week}\n\nDay {week} of plan {number} we spoke of {topic} "
            f"of house {number * week}, and agreed to wait until somebody brings {week + number} of them back.\n"
            for week in range(1, 7)
        ]
        (notes / f"{topic}.md").write_text(f"# Notes on {topic}\n\n" + "\n".join(sections), encoding="utf-8")
    (tmp_path / "prepare.py").write_text(block("python"), encoding="utf-8")
    save_model(tiny.embedding_model(), tmp_path / "base")
    recipe = yaml.safe_load(block("yaml"))
    recipe |= {"base": {"source": "base"}, "run": {"steps": 2}, "batch": {**recipe["batch"], "pairs": 4}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return tmp_path


def test_every_command_of_the_tutorial_works(followed, capsys, monkeypatch):
    monkeypatch.setattr("slimvec.cli.progress.LINE_SECONDS", 1e6)
    commands = [shlex.split(line) for line in re.findall(r"^    ((?:slimvec|python) .*)$", PAGE, flags=re.MULTILINE)]
    assert commands[0] == ["python", "prepare.py", "notes"]
    subprocess.run([sys.executable, *commands[0][1:]], check=True, capture_output=True, timeout=60)
    for _, *arguments in commands[1:]:
        code = run(["base" if argument == "smollm2-135m" else argument for argument in arguments])
        assert code == 0, (arguments, capsys.readouterr().err)
    assert (followed / "result.json").is_file()
    assert (followed / "vectors.npy").is_file()
