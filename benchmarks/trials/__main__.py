"""`python -m benchmarks.trials [kill|disk|writers ...] --count N`: trials of each command, and how many went well.

- kill: the command is killed with -9 at a random moment and run again: its result is that of an undisturbed run, byte
  for byte, and nothing else is left.
- disk: no file may grow beyond a random size, as on a full disk: one line, exit code 2 and no output; then, without the
  limit, the undisturbed result.
- writers: two at once into one output: one does its work undisturbed, the other says who holds the output.

Exit code 1 when a trial failed.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.trials.material import Command, make_material
from benchmarks.trials.processes import Started, complete


class Trials:
    """The trials of one command.

    Args:
        command: The command.
        folder: To work in.
        chance: Decides the moments.
    """

    def __init__(self, command: Command, folder: Path, chance: random.Random) -> None:
        self._command, self._folder, self._chance = command, folder, chance
        folder.mkdir(parents=True)
        place = self._place("reference")
        complete(lambda: self._start(place))  # what is made once, such as kernels
        self._clear(place)
        self._seconds = complete(lambda: self._start(place)).seconds
        self._expected = command.digest(place / command.output)
        written = place if command.output else Path(os.environ["SLIMVEC_CACHE"]) / "models"
        self._largest = max(file.stat().st_size for file in written.rglob("*") if file.is_file())

    def kill(self) -> str:
        """Kill it, run it again; gives what happened."""
        place = self._place("kill")
        started = self._start(place)
        time.sleep(self._chance.uniform(0, 1.1 * self._seconds))
        started.kill()
        killed = started.wait().code < 0
        was_complete = self._command.output and (place / self._command.output).exists()
        if was_complete:
            for lock in place.glob(".*.lock"):  # free, and the next one's to remove
                lock.unlink()
        else:
            again = self._start(place, *self._command.again).wait()
            if again.code:
                return f"FAILED: run again, it ended with {again.code}: {again.said.strip()[-300:]}"
        return self._verdict(place, "killed" if killed else "had ended before")

    def disk(self) -> str:
        """Limit its files, run it, run it again without the limit."""
        place = self._place("disk")
        limited = self._start(place, limit=self._chance.randrange(self._largest)).wait()
        if limited.code == 0:
            return self._verdict(place, "had room enough")
        if limited.code != 2 or "Traceback" in limited.said:
            return f"FAILED: {limited.code}: {limited.said.strip()[-300:]}"
        if self._command.output and (place / self._command.output).exists():
            return "FAILED: an output was left"
        again = self._start(place, *self._command.again).wait()
        if again.code:
            return f"FAILED: run again, it ended with {again.code}: {again.said.strip()[-300:]}"
        return self._verdict(place, "refused in one line")

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

    def _place(self, name: str) -> Path:
        """Make an empty folder and, for what is written there, an empty cache of models."""
        place = self._folder / name
        place.mkdir(exist_ok=True)
        self._clear(place)
        return place

    def _clear(self, place: Path) -> None:
        shutil.rmtree(place)
        place.mkdir()
        if not self._command.output:
            shutil.rmtree(Path(os.environ["SLIMVEC_CACHE"]) / "models", ignore_errors=True)

    def _start(self, place: Path, *more: str, limit: int | None = None, log: str = "log") -> Started:
        arguments = [*self._command.arguments(place / self._command.output), *more]
        return Started(arguments, self._folder / log, limit=limit)

    def _verdict(self, place: Path, happened: str) -> str:
        """Hold the result against the undisturbed one, and see that nothing else is there."""
        if self._command.digest(place / self._command.output) != self._expected:
            return f"FAILED: another result ({happened})"
        hidden = [path.name for path in place.iterdir() if path.name.startswith(".")]
        work = [path.name for path in place.iterdir() if path.name.endswith((".training", ".work"))]
        if hidden or work:
            return f"FAILED: left behind {hidden + work} ({happened})"
        return happened


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trials", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="kill, disk, writers; default all")
    parser.add_argument("--count", type=int, default=8, help="trials of each kind and command")
    parser.add_argument("--commands", nargs="*", help="default all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SLIMVEC_CACHE"] = str(folder / "cache")
        commands = make_material(folder / "material")
        failed = 0
        for command in given.commands or commands:
            trials = Trials(commands[command], folder / command, random.Random(f"{given.seed} {command}"))
            kinds: dict[str, Callable[[], str]] = {"kill": trials.kill, "disk": trials.disk, "writers": trials.writers}
            for kind in given.kinds or kinds:
                counts = Counter(kinds[kind]() for _ in range(given.count))
                failed += sum(count for what, count in counts.items() if what.startswith("FAILED"))
                told = "; ".join(f"{count} {what}" for what, count in counts.most_common())
                print(f"{kind} {command}: {told}", flush=True)
    print(f"{failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
