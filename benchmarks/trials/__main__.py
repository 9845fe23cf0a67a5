"""`python -m benchmarks.trials [KIND ...] --count N`: trials of each command, and how many went well.

- kill: the command is killed with -9 at a random moment and run again: its result is that of an undisturbed run, byte
  for byte, and nothing else is left.
- limit: no file may grow beyond a random size (`ulimit -f`): one line, exit code 2, no output; then, without the limit,
  the undisturbed result.
- disk: the same with a file system of a random size, which is full before the end. Needs the right to mount.
- read-only: the place of the output is read-only: one line, exit code 2, nothing written.
- inputs: everything but that place is read-only: the undisturbed result.
- writers: two at once into one output: one does its work undisturbed, the other says who holds the output.

`--output FILE` writes the counts as JSON. Exit code 1 when a trial failed.
"""

import argparse
import io
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from benchmarks.trials import conditions
from benchmarks.trials.material import Command, make_material
from benchmarks.trials.processes import Ended, Started, complete
from slimvec.cli.app import run

SKIPPED = "skipped: "
_PAGE = 4096
_SAID = 2048
"""Bytes that a command says; the limit on files holds for the file that keeps them too."""
_KEPT = (".training", ".work")
"""Folders from which the same command goes on."""


class Trials:
    """The trials of one command.

    Args:
        command: The command.
        folder: To work in.
        material: Folder with its inputs.
        chance: Decides the moments and sizes.
    """

    def __init__(self, command: Command, folder: Path, material: Path, chance: random.Random) -> None:
        self._command, self._folder, self._material, self._chance = command, folder, material, chance
        folder.mkdir(parents=True)
        place = self._place("reference")
        self._prepare(place)
        self._clear(place)
        self._seconds = complete(lambda: self._start(place)).seconds
        self._expected = command.digest(place / command.output)
        sizes = [file.stat().st_size for file in self._written(place).rglob("*") if file.is_file()]
        self._largest, self._total = max(sizes), sum(sizes)

    @property
    def kinds(self) -> Mapping[str, Callable[[], str]]:
        """What is tried, by its name; each gives what happened."""
        return {
            "kill": self.kill,
            "limit": self.limit,
            "disk": self.disk,
            "read-only": self.read_only,
            "inputs": self.inputs,
            "writers": self.writers,
        }

    def kill(self) -> str:
        """Kill it, run it again."""
        place = self._place("kill")
        started = self._start(place)
        time.sleep(self._chance.uniform(0, 1.1 * self._seconds))
        started.kill()
        ended = started.wait()
        killed = ended.code < 0
        if not killed:  # on a machine that does other things too the first time measured may be too long
            self._seconds = min(self._seconds, ended.seconds)
        if self._command.output and (place / self._command.output).exists():
            for lock in place.glob(".*.lock"):  # free, and the next one's to remove
                lock.unlink()
        else:
            again = self._start(place, *self._command.again).wait()
            if again.code:
                return f"FAILED: run again, it ended with {again.code}: {again.said.strip()[-300:]}"
        return self._verdict(place, "killed" if killed else "had ended before")

    def limit(self) -> str:
        """Limit its files, run it, run it again without the limit."""
        place, size = self._place("limit"), self._chance.randrange(min(_SAID, self._largest - 1), self._largest)
        limited = self._start(place, before=lambda: conditions.limit_files(size)).wait()
        return self._after_refusal(place, limited, "had room enough")

    def disk(self) -> str:
        """Run it on a small disk, run it again when there is room."""
        place = self._place("disk")
        written = self._written(place)
        written.mkdir(parents=True, exist_ok=True)
        size = self._chance.randrange(1, max(2, self._total // _PAGE)) * _PAGE
        try:
            with conditions.small_disk(written, size) as enlarge:
                limited = self._start(place).wait()
                enlarge()
                return self._after_refusal(place, limited, "had room enough")
        except PermissionError as error:
            return f"{SKIPPED}{error}"

    def read_only(self) -> str:
        """Run it where nothing can be written, run it again where it can."""
        place = self._place("read-only")
        written = self._written(place)
        written.mkdir(parents=True, exist_ok=True)
        refused = self._start(place, before=lambda: conditions.make_read_only([written])).wait()
        written.chmod(0o755)
        left = [path.name for path in written.iterdir()]
        if left:
            return f"FAILED: left {left} in a place that is read-only"
        return self._after_refusal(place, refused, "FAILED: wrote nothing and said nothing of it")

    def inputs(self) -> str:
        """Run it with everything it reads in places that are read-only."""
        place, cache = self._place("inputs"), Path(os.environ["SLIMVEC_CACHE"])
        frozen = [self._material, *([cache] if self._command.output else [])]
        ended = self._start(place, before=lambda: conditions.make_read_only(frozen)).wait()
        for folder in frozen:
            folder.chmod(0o755)
        if ended.code:
            return f"FAILED: {ended.code}: {ended.said.strip()[-300:]}"
        return self._verdict(place, "read what it cannot write")

    def writers(self) -> str:
        """Start it twice."""
        place = self._place("writers")
        first = self._start(place)
        time.sleep(self._chance.uniform(0, self._seconds))
        second = self._start(place, log="second")
        ends = sorted([first.wait(), second.wait()], key=lambda ended: ended.code)
        if not self._command.output:
            return self._verdict(place, "both" if not any(e.code for e in ends) else f"FAILED: {ends[1].said}")
        if [ended.code for ended in ends] != [0, 2]:
            return f"FAILED: exit codes {[ended.code for ended in ends]}: {ends[1].said.strip()[-300:]}"
        held = "another process " in ends[1].said and ": process " in ends[1].said
        if not held and " exists" not in ends[1].said:
            return f"FAILED: {ends[1].said.strip()[-300:]}"
        return self._verdict(place, "holder named" if held else "output there already")

    def _after_refusal(self, place: Path, refused: Ended, otherwise: str) -> str:
        """Judge a run that should have been refused, and run it again where nothing hinders it.

        Args:
            place: Where it ran.
            refused: How it ended.
            otherwise: What to call one that was not refused.
        """
        if refused.code == 0:
            return otherwise if otherwise.startswith("FAILED") else self._verdict(place, otherwise)
        errors = [line for line in refused.said.splitlines() if line.startswith("error: ")]
        if refused.code != 2 or "Traceback" in refused.said or len(errors) != 1:
            return f"FAILED: {refused.code}: {refused.said.strip()[-300:]}"
        left = [path.name for path in place.iterdir() if not path.name.endswith(_KEPT)]
        if left:
            return f"FAILED: left {left}"
        again = self._start(place, *self._command.again).wait()
        if again.code:
            return f"FAILED: run again, it ended with {again.code}: {again.said.strip()[-300:]}"
        return self._verdict(place, "refused in one line")

    def _place(self, name: str) -> Path:
        """Make an empty folder and, for what is written there, an empty cache of models."""
        place = self._folder / name
        place.mkdir(exist_ok=True)
        self._clear(place)
        return place

    def _written(self, place: Path) -> Path:
        """Give the folder that the command writes into."""
        return place if self._command.output else Path(os.environ["SLIMVEC_CACHE"]) / "models"

    def _clear(self, place: Path) -> None:
        shutil.rmtree(place)
        place.mkdir()
        if not self._command.output:
            shutil.rmtree(self._written(place), ignore_errors=True)

    def _prepare(self, place: Path) -> None:
        """Run it here: what it imports and what is made once, no fork of this process has to do again.

        Raises:
            RuntimeError: it failed.
        """
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            code = run([*map(str, self._command.arguments(place / self._command.output)), "--quiet"])
        if code:
            raise RuntimeError(f"exit code {code}: {said.getvalue()}")

    def _start(self, place: Path, *more: str, before: Callable[[], None] = lambda: None, log: str = "log") -> Started:
        arguments = [*self._command.arguments(place / self._command.output), *more]
        return Started(arguments, self._folder / log, before=before)

    def _verdict(self, place: Path, happened: str) -> str:
        """Hold the result against the undisturbed one, and see that nothing else is there."""
        if self._command.digest(place / self._command.output) != self._expected:
            return f"FAILED: another result ({happened})"
        names = [path.name for path in place.iterdir()]
        left = [name for name in names if name.startswith(".") or name.endswith(_KEPT)]
        if left:
            return f"FAILED: left behind {left} ({happened})"
        return happened


def run_trials(kinds: Sequence[str], commands: Sequence[str], count: int, seed: int) -> dict[str, dict[str, int]]:
    """Run trials, printing a line for each kind and command.

    Args:
        kinds: Kinds of trials; none for all.
        commands: Names of commands; none for all.
        count: Trials of each kind and command.
        seed: Decides moments and sizes.

    Returns:
        By `KIND COMMAND`, how often what happened.
    """
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SLIMVEC_CACHE"] = str(folder / "cache")
        made = make_material(folder / "material")
        for command in commands or made:
            chance = random.Random(f"{seed} {command}")
            trials = Trials(made[command], folder / command, folder / "material", chance)
            for kind in kinds or trials.kinds:
                counts = Counter(trials.kinds[kind]() for _ in range(count))
                found[f"{kind} {command}"] = dict(counts.most_common())
                told = "; ".join(f"{number} {what}" for what, number in counts.most_common())
                print(f"{kind} {command}: {told}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="default all")
    parser.add_argument("--count", type=int, default=8, help="trials of each kind and command")
    parser.add_argument("--commands", nargs="*", default=(), help="default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the counts here")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a process that has used a GPU cannot fork
    found = run_trials(given.kinds, given.commands, given.count, given.seed)
    failed = sum(n for counts in found.values() for what, n in counts.items() if what.startswith("FAILED"))
    tried = sum(n for counts in found.values() for what, n in counts.items() if not what.startswith(SKIPPED))
    print(f"{tried} trials, {failed} failed")
    if given.output is not None:
        report = {"system": platform.platform(), "seed": given.seed, "trials": tried, "failed": failed, "counts": found}
        given.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
