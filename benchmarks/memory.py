"""Memory of a long stream: `python -m benchmarks.memory --texts 1000000`.

A process of its own streams short generated texts through `Embedder.embed_stream`. Recorded are the memory it held at
most, and what it held after a tenth, half and all of the texts: it must not grow.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.forms import model_name
from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT, worker_environment
from benchmarks.results import Frozen, write_json
from slimvec.engine.machine import num_cores

LIMIT_MB = 800
_MARKS = (0.1, 0.5, 1.0)
_GROWTH = 1.05
"""Most that the memory after all texts may exceed that after a tenth of them."""
_TEXT = """
time year people way day man thing woman life child world school state family student group country
problem hand part place case week company system program question work government number night point
home water room mother area money story fact month lot right study book eye job word business issue side
kind head house service friend father power hour game line end member law car city community name
president team minute idea body information back parent face others level office door health person art
war history party result change morning reason research girl guy moment air teacher force education paper
"""
_WORDS = _TEXT.split()


class MemoryResult(Frozen):
    """What a stream held.

    Attributes:
        model: Name of the model.
        machine: Where.
        num_texts: Texts streamed.
        num_tokens: Their tokens.
        seconds: For all.
        rss_mb: Resident memory after each share of the texts.
        peak_rss_mb: Most it ever held.
        limit_mb: Most it may hold.
        grew: Whether it held over 5% more in the end than after a tenth.
    """

    model: str
    machine: Machine
    num_texts: int
    num_tokens: int
    seconds: float
    rss_mb: dict[str, float]
    peak_rss_mb: float
    limit_mb: float
    grew: bool


def generated_texts(count: int) -> Iterator[str]:
    """Texts of three words, made as they are asked for: a million different ones, and from there on they come again."""
    for number in range(count):
        yield " ".join(_WORDS[number // 100**place % 100] for place in (2, 1, 0))


def stream(model: str, num_texts: int) -> dict[str, object]:
    """Embed the texts in this process, and look at its memory on the way."""
    from slimvec import Embedder

    process = psutil.Process()
    embedder = Embedder.load(model)
    marks = {max(1, int(share * num_texts)): f"{share:.0%}" for share in _MARKS}
    rss: dict[str, float] = {}
    done = num_tokens = 0
    start = time.perf_counter()
    for block in embedder.embed_stream(generated_texts(num_texts)):
        done, num_tokens = done + len(block.vectors), num_tokens + block.num_tokens
        rss |= {
            name: process.memory_info().rss / 1e6 for mark, name in marks.items() if mark <= done and name not in rss
        }
        print(f"{done:,} of {num_texts:,}", file=sys.stderr, flush=True)
    return {"rss_mb": rss, "num_tokens": num_tokens, "seconds": time.perf_counter() - start}


def measure(model: str, num_texts: int, num_threads: int) -> MemoryResult:
    """Stream in a fresh process and sum up.

    Raises:
        subprocess.CalledProcessError: the process failed; its own words are on stderr.
    """
    command = [sys.executable, "-m", "benchmarks.memory", "--model", model, "--texts", str(num_texts), "--stream"]
    finished = subprocess.run(
        command, cwd=ROOT, env=worker_environment(num_threads), stdout=subprocess.PIPE, text=True, check=True
    )
    told = json.loads(finished.stdout.splitlines()[-1])
    rss = told["rss_mb"]
    return MemoryResult(
        model=model_name(model),
        machine=this_machine(),
        num_texts=num_texts,
        limit_mb=LIMIT_MB,
        grew=rss["100%"] > _GROWTH * rss["10%"],
        **told,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when the memory is over the limit or grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/MODEL-memory.json")
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.stream:
        from benchmarks.worker import peak_rss_mb

        print(json.dumps({**stream(options.model, options.texts), "peak_rss_mb": peak_rss_mb()}))
        return 0
    result = measure(options.model, options.texts, options.threads)
    output = options.output or ROOT / "benchmarks" / "results" / f"{result.model}-memory.json"
    write_json(result, output)
    held = ", ".join(f"{rss:,.0f} MB after {share}" for share, rss in result.rss_mb.items())
    verdict = "within" if result.peak_rss_mb < LIMIT_MB else "OVER"
    print(f"{result.num_texts:,} texts: {held}; at most {result.peak_rss_mb:,.0f} MB, {verdict} {LIMIT_MB} MB")
    return int(result.grew or result.peak_rss_mb >= LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
