import ast
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from slimvec.cli import app as application
from slimvec.cli import options, reference
from slimvec.cli.failures import Interrupted, report
from slimvec.cli.frame import framed
from slimvec.cli.progress import Task, shown
from slimvec.cli.terminal import Terminal
from slimvec.errors import InputError, TrainingError
from slimvec.text import prompts

HEAVY = ("torch", "transformers", "numpy", "pyarrow")


def loaded_after(*arguments, modules=HEAVY):
    """Which of the modules are loaded when a command line has been dealt with."""
    code = (
        "import sys\nfrom slimvec.cli.app import run\n"
        f"code = run({list(arguments)!r})\n"
        f"print(code, [name for name in {modules!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, _, names = done.stderr.strip().splitlines()[-1].partition(" ")
    return int(code), ast.literal_eval(names)


def test_import_is_light():
    code = f"import slimvec, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [[], *([name] for name in application.COMMANDS)], ids=lambda c: " ".join(c) or "-")
def test_help_is_light(command):
    assert loaded_after(*command, "--help") == (0, [])


def test_the_list_of_commands_is_lighter_still():
    assert loaded_after("--help", modules=(*HEAVY, "pydantic", "yaml", "regex")) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "--model", "m", "--role", "query", "--input", "missing.txt", "--output", "x.npy"],
        ["embed", "--model", "m", "--role", "nobody", "--input", "missing.txt", "--output", "x.npy"],
        ["search", "q", "--model", "m", "--documents", "missing.jsonl"],
        ["train", "missing.yaml", "--output", "x"],
        ["fetch"],
        ["nonsense"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_wrong_use_is_told_before_anything_heavy_is_loaded(arguments):
    assert loaded_after(*arguments) == (2, [])


def test_version(slimvec):
    assert slimvec("--version").out.startswith("slimvec 0.")


def test_without_arguments_help_is_shown(slimvec):
    assert slimvec().out.startswith("Usage: slimvec [OPTIONS] COMMAND")


def test_usage_errors_are_one_line(slimvec):
    outcome = slimvec("embed", "--model", "m", "--role", "nobody")
    assert outcome.code == 2
    assert outcome.error == (
        "error: Invalid value for '--role': 'nobody' is not one of 'query', 'document'; see `slimvec embed --help`"
    )


def test_roles_are_the_library_s():
    assert options.Role == prompts.Role


def test_help_and_reference_name_every_option_and_key(slimvec):
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## slimvec (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(application.COMMANDS)
    for name, (_, keys) in application.COMMANDS.items():
        shown_options = set(re.findall(r"--[a-z][a-z0-9-]*", slimvec(name, "--help").out))
        assert shown_options == set(re.findall(r"--[a-z][a-z0-9-]*", sections[name])), "run `make docs`"
        assert all(f"  {key} " in sections[name] for key in keys), "run `make docs`"


def test_reference_holds_all_commands():
    page = reference.reference()
    assert all(f"## slimvec {name}" in page for name in application.COMMANDS)


def raising(error):
    def command(_, *, name: str = "x"):
        """Fail.

        Options:
            name: A name.
        """
        raise error if name else AssertionError

    return command


def call(command, *arguments):
    small = typer.Typer(rich_markup_mode=None)
    small.command()(framed(command))
    return small(list(arguments), standalone_mode=False)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a", expected="b", do="c"), 2, "error: a; expected b; c"),
        (TrainingError("the loss is nan"), 1, "error: the loss is nan"),
        (ValueError("two\nlines"), 1, "error: ValueError: two lines; run with --debug for the traceback"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("stopped after step 3"), 130, "stopped after step 3"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.npy"),
            2,
            "error: cannot write x.npy: No space left on device; free some space or choose another place",
        ),
        (MemoryError(), 1, "error: out of memory; try shorter texts, a smaller batch or a smaller model"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_become_one_line_and_an_exit_code(error, code, line, capsys):
    assert call(raising(error), "--json") == code
    out, err = capsys.readouterr()
    assert err == f"{line}\n"
    assert json.loads(out)["code"] == code
    assert call(raising(error)) == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_a_failure_is_one_object_of_json(capsys):
    call(raising(InputError("a\x1b[31m", expected="b", do="c")), "--json")
    assert json.loads(capsys.readouterr().out) == {"error": "a\x1b[31m", "expected": "b", "do": "c", "code": 2}
    call(raising(TrainingError("a")), "--json")
    assert json.loads(capsys.readouterr().out) == {"error": "a", "expected": None, "do": None, "code": 1}


def test_wrong_use_is_an_object_too(slimvec):
    outcome = slimvec("embed", "--model", "m", "--role", "nobody", "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out) == {
        "error": "Invalid value for '--role': 'nobody' is not one of 'query', 'document'",
        "expected": None,
        "do": "see `slimvec embed --help`",
        "code": 2,
    }
    assert slimvec("embed", "--role", "nobody", "--", "--json").out == ""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG])
def test_a_place_that_cannot_be_used_is_wrong_use(number, capsys):
    assert call(raising(OSError(number, "not there", "x\x1b]8;;evil"))) == 2
    line = "error: cannot use x\\x1b]8;;evil: not there; check the path and its permissions\n"
    assert capsys.readouterr().err == line


def test_an_option_is_no_output(slimvec, model):
    outcome = slimvec("merge", model, model, "--output", "--json")
    assert (outcome.code, outcome.err) == (2, "error: output --json looks like an option; expected a path; give one\n")
    assert not Path("--json").exists()


def test_arguments_that_are_no_text_are_wrong_use(slimvec):
    outcome = slimvec("fetch", "a\udcff", "--json")
    assert outcome.code == 2
    assert "error: argument a\\udcff is no UTF-8; expected names and texts in UTF-8" in outcome.err


def shell(line, tmp_path):
    """Run a line of bash in which $SLIMVEC is the program: its exit code and stderr."""
    environment = {**os.environ, "SLIMVEC": f"{sys.executable} -m slimvec"}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("$SLIMVEC --version >&-", 2, "error: stdout is closed; expected somewhere to write to; redirect it to"),
        ("$SLIMVEC --version >/dev/full", 2, "error: cannot write: No space left on device; free some space"),
        ("$SLIMVEC fetch --json >/dev/full", 2, "error: Missing argument"),
        ("$SLIMVEC fetch 2>&-", 2, ""),
        ("$SLIMVEC fetch 2>/dev/full", 2, ""),
        ("touch f; $SLIMVEC tokenizers x -o f/a/b", 2, "error: cannot write f/a/b: a parent is a file, not a folder"),
        ("$SLIMVEC train $'a\\xff.yaml' -o x", 2, "error: argument a\\udcff.yaml is no UTF-8"),
    ],
)
def test_streams_and_places_that_fail_give_one_line(line, code, error, tmp_path):
    found_code, found = shell(line, tmp_path)
    assert (found_code, found.count("\n")) == (code, 1 if error else 0), found
    assert found.startswith(error)


def test_debug_shows_the_traceback(capsys):
    assert call(raising(ValueError("odd")), "--debug") == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("error: ValueError: odd; run with --debug for the traceback\n")


def test_a_closed_pipe_is_no_error(capsys):
    assert report(BrokenPipeError(), debug=True) == 141
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_leaves_no_complaint(model, tmp_path):
    documents = tmp_path / "d.txt"
    documents.write_text("a file\n" * 3, encoding="utf-8")
    command = f"{sys.executable} -m slimvec search x --quiet --model {model} --documents {documents}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


def test_json_is_all_of_stdout_whatever_libraries_print(capsys):
    def chatty(terminal):
        print("a library talks")
        terminal.print("for people")
        terminal.remark("a remark")
        return {"a": 1}

    call(chatty, "--json")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "a library talks\na remark\n"
    call(chatty, "--quiet")
    assert capsys.readouterr() == ("a library talks\nfor people\n", "")


def test_tasks_say_how_far_they_are():
    task = Task("embedding", total=2000, unit="texts")
    assert task.tail() == "0 of 2,000 texts, 0 s"
    task.advance(1000)
    assert re.fullmatch(r"1,000 of 2,000 texts, 0 s left", task.tail())
    task.update(total=1.0, unit="", completed=0.25, detail="loss 0.5", seconds_left=90.0)
    assert task.tail() == "25%, loss 0.5, 1:30 left"
    task.update(total=1.0, completed=0.001, detail="", seconds_left=None)
    assert task.tail() == "0%, 0 s"  # too early to tell
    assert Task("loading").tail() == "0 s"
    task = Task("fitting", unit="texts")
    task.advance(1200)
    assert task.tail() == "1,200 texts, 0 s"


def test_what_is_expected_is_told_at_once_and_until_more_is_known(capfd):
    with shown(Task("scoring", total=100, unit="texts", expected=90.0), quiet=False) as task:
        assert capfd.readouterr().err == "scoring: 0 of 100 texts, 1:30 left\n"
        task.advance(50)
        assert task.tail() == "50 of 100 texts, 0 s left"
    task = Task("x", expected=-1.0)
    assert task.tail() == "0 s left"  # late is no time, not a negative one


def test_fetching_is_shown_by_its_share():
    task = Task("loading x")
    task.share("fetching x", 0.5)
    assert (task.description, task.total, task.completed) == ("fetching x", 1.0, 0.5)
    task.share("converting x", None)
    assert (task.description, task.total) == ("converting x", None)


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capfd):
    monkeypatch.setattr("slimvec.cli.progress.LINE_SECONDS", 0.01)
    task = Task("embedding", total=4, unit="texts")
    with shown(task, quiet=False):
        err = ""  # added up, as a line may be cut in two between two looks
        while "embedding: 2 of 4 texts" not in err:
            task.completed = 2
            err += capfd.readouterr().err
    assert [line for line in err.split("\n")[:-1] if not line.startswith("embedding: ")] == []


def test_quiet_shows_nothing(monkeypatch, capfd):
    monkeypatch.setattr("slimvec.cli.progress.LINE_SECONDS", 0.0)
    with shown(Task("embedding"), quiet=True) as task:
        task.advance()
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown(Task("embedding", total=4, unit="texts"), quiet=False) as task:
        task.advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "embedding" in err
    assert "4 of 4 texts" in err


def test_commands_to_copy_are_never_folded(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    line = "slimvec search " + "x" * 100 + " --model m"
    Terminal().print(line)
    assert capsys.readouterr().out == f"{line}\n"
