"""Command lines by chance: options, files and environments that hypothesis draws, run within this process.

    python -m benchmarks.fuzz_cli --count 5000 --seed 1

Half of the lines are drawn from options alone, which nearly always ask for something wrong; the others are whole
lines that work, with up to two words changed, dropped or added. A command line must end in one of two ways: exit code
0 with its whole output (with `--json` one object), or one line on stderr (with `--json` one object too), exit code 2
(1 where a run itself failed for a cause that slimvec names) and nothing written. Commands that train, fetch or
measure for long are drawn with an option that is surely wrong. No line may ask the network for anything.
"""

import argparse
import io
import json
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin
from unittest.mock import patch

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is imported

import typer
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from slimvec.cli import app as application
from slimvec.cli import index, models, progress, search

Parameter = typer.core.TyperOption
SLOW = ("quickstart", "doctor", "fetch", "synthesize", "train", "adapt", "adjust", "probe", "compare", "serve", "mcp")
"""Commands that are only drawn with a wrong option: what they do well takes minutes or a network."""
MODEL = "model"
_SHARED = ("json", "quiet", "debug", "help")
_ENVIRONMENTS = (
    {"COLUMNS": "0"},
    {"TERM": "dumb", "NO_COLOR": "1"},
    {"FORCE_COLOR": "1", "COLUMNS": "7"},
    {"WORLD_SIZE": "x"},
    {"WORLD_SIZE": "2", "RANK": "5"},
    {"SLIMVEC_CACHE": "texts.txt/cache"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
)
_FILES = {
    "texts.txt": b"a file\nreading bytes\nweather\n",
    "empty.txt": b"",
    "latin.txt": "caf\xe9".encode("latin-1"),
    "blank.txt": b"a\n\nb\n",
    "pairs.jsonl": b'{"query": "a", "positive": "b"}\n{"query": "c", "positive": "d", "negatives": ["b"]}\n' * 3,
    "flag.jsonl": b'{"query": "a", "pos": ["b"], "neg": ["c"]}\n{"query": "d", "pos": ["e"], "neg": ["f"]}\n',
    "talk.jsonl": b"\n".join(
        json.dumps({"query": query, "positive": positive}).encode()
        for query, positive in (
            ("how do I open a file for reading in a program", "Call open with its name and the mode for reading."),
            ("what will the weather be like tomorrow morning", "Fog in the valleys, and sun above a thousand metres."),
            ("which cheese melts well on a warm sandwich", "A young Gouda melts evenly, and stays on the bread."),
        )
    ),
    "recipe.yaml": b"base: {source: model}\ndata: [{path: pairs.jsonl}]\nbatch: {pairs: 2}\nrun: {steps: 2}\n",
    "nopair.jsonl": b'{"sentence1": "a", "sentence2": "b", "label": 0}\n',
    "docs.jsonl": b'{"id": "1", "title": "A", "text": "a file"}\n{"_id": 2, "text": "weather\\u001b[31m"}\n',
    "deep.jsonl": b"[" * 5000 + b"\n",
    "list.jsonl": b"[1]\n",
    "cut.jsonl.gz": b"\x1f\x8b\x08\x00",
    "no.parquet": b"PAR1",
    "bomb.yaml": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *b]\n",
    "tag.yaml": b"a: !!python/object:os.system {}\n",
    "key.yaml": b"? {a: 1}\n: 2\n",
    "bytes.yaml": b"a: \xff\n",
    "tokenizer.json": b"{}",
    "set/corpus.jsonl": b'{"id": "d1", "text": "a file"}\n{"id": "d2", "text": "weather"}\n',
    "set/queries.jsonl": b'{"id": "q1", "text": "how to open a file"}\n',
    "set/qrels.jsonl": b'{"query_id": "q1", "doc_id": "d1", "score": 1}\n',
    "hollow/config.json": b"{}",
    "broken/config.json": b'{"model_type": "llama", "architectures": 3',
    "broken/tokenizer.json": b"\xff",
}
WORKING = (
    "clean talk.jsonl --output out.jsonl",
    "clean talk.jsonl --output out.jsonl.gz --against set",
    "filter pairs.jsonl --output out.jsonl --bm25 -k 1",
    "filter pairs.jsonl --output out.jsonl --model model -k 2 --dropped gone.jsonl",
    "mine talk.jsonl --output out.jsonl --bm25 --first-rank 1 --last-rank 2 --negatives 1",
    "mine talk.jsonl --output out.jsonl --model model --first-rank 1 --last-rank 2 --negatives 1",
    "embed --input texts.txt --output out.npy --model model --role query",
    "embed --input docs.jsonl --output out.parquet --model model --role document --dims 8",
    "explain a_file a_word --model model",
    "evaluate --model model --data set --output out.json",
    "tokenizers model --text-file texts.txt",
    "merge model model --output merged",
    "triplets --output out.jsonl --num 4",
    "plan recipe.yaml",
    "rerank a_question --model model --documents texts.txt --weight 0",
    "search a_file --model model --documents texts.txt",
    "index texts.txt docs.jsonl --to out --model model",
)
"""Command lines that end with exit code 0."""
_OUTPUTS = ("out", "out.npy", "out.jsonl", "out.jsonl.gz", "new/out.json", "texts.txt/out", "set", "x" * 300)
_WORDS = ("", " ", "a", "query", "\x1b[31mred\x1b[0m", "\u202egpj", "\ud800", "a\x00b", "--", "-", "[/x]", "a=b")
_NUMBERS = ("0", "1", "2", "-1", "1e9", "nan", "x", "99999999999999999999", "0.5")
_PATHS = (*_FILES, ".", "set", "none", "none/at.all", "hollow", "broken", "/dev/null", "a\x00b", MODEL)


class NetworkError(BaseException):
    """The network was asked for something; nothing in the program catches it."""


@dataclass
class Trial:
    """What has been run so far.

    Attributes:
        codes: How often each exit code came, by command.
        faults: Command lines that ended in another way, with what was wrong.
    """

    codes: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@contextmanager
def workplace(model: Path) -> Iterator[Path]:
    """Give a folder with the files that command lines name, and be in it, without a network."""
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(progress, "LINE_SECONDS", 1e6),
        patch.object(application, "app", _commands()),  # made once: that takes longer than most lines
        patch.object(index, "DEFAULT_MODEL", MODEL),
        patch.object(models, "DEFAULT_MODEL", MODEL),
        patch.object(search, "DEFAULT_MODEL", MODEL),
        patch.object(socket, "getaddrinfo", _no_network),
        patch.dict(os.environ, {"PIP_NO_INDEX": "1"}),
        chdir(name),
    ):
        folder = Path(name)
        for file, content in _FILES.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
        (folder / MODEL).symlink_to(model)
        yield folder


@cache
def _commands() -> Any:
    """Give the application as typer runs it."""
    return typer.main.get_command(application.app)


def _no_network(host: object, *_: object, **__: object) -> NoReturn:
    raise NetworkError(f"the address of {host!r} was asked for")


def command_lines() -> st.SearchStrategy[tuple[list[str], dict[str, str]]]:
    """Draw arguments and an environment."""
    commands = _commands().commands
    by_chance = st.sampled_from(sorted(commands)).flatmap(lambda name: _of_command(name, commands[name].params))
    return st.one_of(by_chance, st.tuples(_working(), _environments()))


def _working() -> st.SearchStrategy[list[str]]:
    """Draw a line that works, with at most two changes."""
    change = st.tuples(
        st.sampled_from(("change", "drop", "add")), st.integers(1, 30), st.sampled_from((*_WORDS, *_PATHS, *_NUMBERS))
    )
    return st.builds(
        _changed, st.sampled_from(WORKING), st.lists(change, max_size=2), st.sampled_from([[], ["--json"]])
    )


def _changed(line: str, changes: Sequence[tuple[str, int, str]], more: Sequence[str]) -> list[str]:
    """Change words of a line; the command keeps its place."""
    command, *words = line.split()
    for kind, number, word in changes:
        place = number % (len(words) + 1)
        words[place : place + (kind != "add")] = [] if kind == "drop" else [word]
    return [command, "--quiet", *words, *more]


def _environments() -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from([{}] * 6 + [dict(values) for values in _ENVIRONMENTS])


def _of_command(name: str, parameters: Sequence[Parameter]) -> st.SearchStrategy:
    """Draw a line of a command: what it asks for nearly always, the rest now and then."""
    parts = [_of_parameter(parameter) for parameter in parameters if parameter.name not in _SHARED]
    wrong = [["--no-such-option"]] if name in SLOW else [[], [], [], ["--no-such-option"], ["--json"], ["--json"]]
    line = st.tuples(*parts, st.sampled_from(wrong), st.sampled_from([[], ["--json"]]))
    return st.tuples(
        line.map(lambda drawn: [name, "--quiet", *(word for part in drawn for word in part)]), _environments()
    )


def _of_parameter(parameter: Parameter) -> st.SearchStrategy[list[str]]:
    """Draw the words of one parameter; none of them where it is left out."""
    if parameter.param_type_name == "argument":
        values = _values(parameter).map(lambda value: [value])
        return st.one_of(values, values, values, st.just([]))
    flag = parameter.opts[0]
    given_ = st.just([flag]) if parameter.is_flag else _values(parameter).map(lambda value: [flag, value])
    none: st.SearchStrategy[list[str]] = st.just([])
    return st.one_of(given_, given_, given_, none) if parameter.required else st.one_of(*[none] * 12, given_)


def _values(parameter: Parameter) -> st.SearchStrategy[str]:
    """Draw a value by what a parameter takes, and now and then any other."""
    kind: object = parameter.type_descriptor.annotation
    name = parameter.name or ""
    if name == "output":
        likely: Sequence[str] = _OUTPUTS
    elif name in ("model", "models", "sources", "against"):
        likely = (MODEL, MODEL, "hollow", "broken", "none/x", "texts.txt", "tokenizer.json")
    elif get_origin(kind) is Literal:
        likely = get_args(kind)
    elif kind in (int, float):
        likely = _NUMBERS
    else:
        likely = _PATHS if kind is Path or name == "data" else (*_WORDS, *_PATHS)
    fitting = st.sampled_from(likely)
    return st.one_of(fitting, fitting, fitting, st.sampled_from((*_WORDS, *_PATHS, *_NUMBERS)))


def run_line(line: Sequence[str], environment: Mapping[str, str], trial: Trial, folder: Path) -> None:
    """Run a command line, and take note of how it ended."""
    before = _contents(folder)
    out, err = io.StringIO(), io.StringIO()
    try:
        with patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
            code = application.run(line)
        wrong = _wrong(line, code, out.getvalue(), err.getvalue())
    except BaseException as error:
        code, wrong = -1, f"{type(error).__name__}: {error}"
    after = _contents(folder)
    if code != 0 and after != before:
        wrong = wrong or f"left {sorted(str(path) for path in after.keys() ^ before.keys())} or changed files"
    if any(".partial" in str(path) or ".lock" in str(path) for path in after):
        wrong = wrong or "left temporary files"
    trial.codes[line[0], code] += 1
    if wrong:
        trial.faults.append(f"{' '.join(map(repr, line))} {dict(environment) or ''}: {wrong}")
    _restore(folder, before, after)


def _wrong(line: Sequence[str], code: int, out: str, err: str) -> str:
    """Say what is wrong with how a command ended; empty when nothing is."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code and (err.count("\n") != 1 or not err.startswith("error: ")):
        return f"exit code {code} with {err!r}"
    if code == 1 and "run with --debug" in err:
        return err.strip()
    before = next((word for word, after in pairwise(line) if after == "--json"), "")
    if "--" in line or (before.startswith("-") and before != "--quiet"):  # what looks like --json may be a value
        return ""
    if "--json" in line:
        try:
            json.loads(out)
        except ValueError:
            return f"no JSON: {out[:200]!r}"
    elif code and out:
        return f"exit code {code} with {out[:200]!r}"
    return ""


def _contents(folder: Path) -> dict[Path, tuple[int, int]]:
    """List the files of a folder but the model's, with their size and time."""
    found = (path for path in folder.rglob("*") if path.name != MODEL)
    return {path: (path.stat().st_size if path.is_file() else 0, path.stat().st_mtime_ns if path.is_file() else 0)
            for path in found}  # fmt: skip


def _restore(folder: Path, before: Mapping[Path, object], after: Mapping[Path, object]) -> None:
    """Remove what a run made, and write again what it replaced."""
    for path in sorted(after.keys() - before.keys(), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for file, content in _FILES.items():
        path = folder / file
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def fuzz(model: Path, count: int, *, number: int = 0, on_fault: Callable[[str], None] = lambda _: None) -> Trial:
    """Run `count` command lines with a model.

    Args:
        model: A folder with a tiny model.
        count: How many.
        number: Random seed: the same lines every time.
        on_fault: Told of each line that ended in a wrong way.
    """
    trial = Trial()
    with workplace(model) as folder:

        @seed(number)
        @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(command_lines())
        def run(drawn: tuple[list[str], dict[str, str]]) -> None:
            before = len(trial.faults)
            run_line(*drawn, trial, folder)
            for fault in trial.faults[before:]:
                on_fault(fault)

        run()
    return trial


def main() -> None:
    """Run from the command line; exit code 1 when a command line ended in a wrong way."""
    from slimvec.model.folder import save_model
    from tests import tiny

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        save_model(tiny.embedding_model(), Path(name) / MODEL)
        trial = fuzz(Path(name) / MODEL, options.count, number=options.seed, on_fault=print)
    for (command, code), number in sorted(trial.codes.items()):
        print(f"{command:12} exit code {code}: {number:,}")
    print(f"{trial.codes.total():,} command lines, {len(trial.faults):,} ended in a wrong way")
    raise SystemExit(bool(trial.faults))


if __name__ == "__main__":
    main()
