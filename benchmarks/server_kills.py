"""A server killed with -9 at random moments under load: `python -m benchmarks.server_kills --count 20`.

It serves a tiny model and an index, which another process brings up to date meanwhile and which is killed with it.
Clients ask all the time and ask again when a connection breaks. In the end every request has its answer, every
answer is that of its texts, and the index holds what a fresh one of the same files holds. Exit code 1 otherwise.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT, worker_environment
from benchmarks.results import Frozen, write_json
from benchmarks.search_kills import contents
from benchmarks.server_load import Request, Seen, count_wrong, make_requests, put_under_load, read_texts
from benchmarks.server_processes import free_port, wait_until_ready
from slimvec.engine.embedder import Embedder
from slimvec.search.index import Index
from tests.search.support import make_index, save_tiny

_CLIENTS = 16
_MOST_SECONDS = 2.0
_NUM_FILES = 200


class ServerKillsResult(Frozen):
    """How the trials went.

    Attributes:
        machine: Where.
        num_kills: Servers killed while they served.
        num_indexing: Processes that wrote the index and were killed with it.
        num_answered: Requests that have their answer.
        num_broken: Connections that ended before an answer was whole, or found no server; their requests were sent
            again.
        num_wrong: Vectors that are not those of their texts.
        is_equal: Whether the index is in the end what a fresh one is.
    """

    machine: Machine
    num_kills: int
    num_indexing: int
    num_answered: int
    num_broken: int
    num_wrong: int
    is_equal: bool


class Site:
    """A model, documents, an index of them, and the commands that serve and write it.

    Args:
        folder: An empty folder to make them in.
    """

    def __init__(self, folder: Path) -> None:
        self.embedder = save_tiny(folder / "tiny")
        self.documents, self.index, self.model = folder / "docs", folder / "index", folder / "tiny"
        self.documents.mkdir()
        self.write_documents(0)
        make_index(self.index, self.embedder, self.documents, model=self.model)
        self.port = free_port()

    def write_documents(self, number: int) -> None:
        """Change all documents."""
        for name in range(_NUM_FILES):
            (self.documents / f"{name}.txt").write_text(f"Text {name} of version {number}. " * 20, encoding="utf-8")

    def serve(self) -> "subprocess.Popen[bytes]":
        """Start a server, and wait until it is ready."""
        serve = ["serve", "--model", f"served={self.model}", "--index", self.index, "--port", self.port, "--quiet"]
        process = self._start([*serve, "--dtype", "float32", "--max-wait", "60"])
        wait_until_ready(process, self.port)
        return process

    def update(self) -> "subprocess.Popen[bytes]":
        """Start bringing the index up to date."""
        return self._start(["index", "--to", self.index, "--quiet"])

    def _start(self, arguments: list[object]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "slimvec", *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, env=worker_environment(1), stdout=subprocess.DEVNULL)


def run(site: Site, requests: list[Request], count: int) -> tuple[Seen, int]:
    """Kill servers under load; gives what clients saw, and how many writers of the index were killed too."""
    generator, seen, num_writers = random.Random(0), Seen(), 0
    for number in range(1, count + 1):
        site.write_documents(number)
        writer, server = site.update(), site.serve()
        found: list[Seen] = []
        load = threading.Thread(
            target=lambda found=found: found.append(
                put_under_load(site.port, requests, clients=_CLIENTS, seconds=_MOST_SECONDS)
            )
        )
        load.start()
        time.sleep(generator.uniform(0.1, _MOST_SECONDS))
        num_writers += writer.poll() is None
        for process in (server, writer):
            process.send_signal(signal.SIGKILL)
            process.wait()
        again = site.serve()  # clients that wait for an answer ask this one
        load.join()
        again.terminate()
        again.wait(60)
        seen.answers += found[0].answers
        seen.broken += found[0].broken
        print(f"{number}: {len(found[0].answers)} answered, {found[0].broken} connections broken", flush=True)
    return seen, num_writers


def main() -> None:
    """Run the trials, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/server-kills.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        site = Site(Path(name))
        texts = read_texts(site.embedder)
        requests = make_requests(texts, "input_type")
        seen, num_writers = run(site, requests, arguments.count)
        index = Index.open(site.index, embedder=site.embedder)
        index.update()
        fresh = make_index(Path(name) / "fresh", Embedder.load(site.model), site.documents, model=site.model)
        result = ServerKillsResult(
            machine=this_machine(),
            num_kills=arguments.count,
            num_indexing=num_writers,
            num_answered=len(seen.answers),
            num_broken=seen.broken,
            num_wrong=count_wrong(seen, requests, texts),
            is_equal=contents(index) == contents(fresh),
        )
    write_json(result, arguments.output)
    print(result.model_dump_json(exclude={"machine"}))
    sys.exit(0 if result.is_equal and not result.num_wrong else 1)


if __name__ == "__main__":
    main()
