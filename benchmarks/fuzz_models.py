"""Damaged model folders: `python -m benchmarks.fuzz_models --count 2000` from the root of a checkout.

Each case is a tiny model of some architecture and form, damaged at random from a seed. Wanted of each: refused by
slimvec in one line, or loaded with the vectors that sentence-transformers gives for the same folder (cosine >= .9999).
"""

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.damage import damage, damage_file
from slimvec.engine.embedder import Embedder
from slimvec.errors import SlimvecError

TEXTS = ["one text", "Another, longer Text with more in it", "x", "many words again and again, " * 3]
LEAST_COSINE = 0.9999
_GGUF_SHARE = 0.02
BAD = ("traceback", "other vectors")


@dataclass(frozen=True)
class Case:
    """A damaged model and what became of it.

    Attributes:
        seed: It can be made again from this.
        model: Name of the whole model.
        damage: What was done to it.
        verdict: `refused`, `equal`, `served alone` (sentence-transformers refuses it), or one of `BAD`.
        detail: The message, the least cosine or the end of the traceback.
    """

    seed: int
    model: str
    damage: str
    verdict: str
    detail: str


def run_case(corpus: Mapping[str, Path], seed: int, work: Path, *, gguf: bool = True) -> Case:
    """Damage a model and judge it.

    Args:
        corpus: Models by name.
        seed: Random seed for all choices.
        work: An empty folder for the copy.
        gguf: Whether GGUF files are among the choices: each takes a process of its own.
    """
    draw = random.Random(seed)
    files = sorted(name for name, path in corpus.items() if path.is_file())
    folders = sorted(name for name, path in corpus.items() if path.is_dir())
    is_file = gguf and bool(files) and draw.random() < _GGUF_SHARE
    name = draw.choice(files if is_file else folders)
    copy = work / f"{name}-{seed}{'.gguf' if is_file else ''}"
    if is_file:
        shutil.copyfile(corpus[name], copy)
        done = damage_file(copy, draw)
    else:
        shutil.copytree(corpus[name], copy)
        done = damage(copy, draw)
    verdict, detail = _judge(copy)
    shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    return Case(seed, name, done, verdict, detail.replace(str(work), "WORK"))


def _judge(model: Path) -> tuple[str, str]:
    try:
        ours = embed_slimvec(model)
    except SlimvecError as error:
        return ("traceback", repr(str(error))) if "\n" in str(error) else ("refused", str(error))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {error} at {Path(frame.filename).name}:{frame.lineno}"
    if model.is_file():
        return "served alone", "sentence-transformers reads no GGUF"
    try:
        theirs = embed_sentence_transformers(model)
    except Exception as error:
        return "served alone", f"{type(error).__name__}: {error}"[:200]
    return compare(ours, theirs)


def embed_slimvec(model: Path) -> list[NDArray[np.float32]]:
    """Embed the texts as queries and as documents with slimvec."""
    embedder = Embedder.load(model)
    return [embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS)]


def embed_sentence_transformers(model: Path) -> list[NDArray[np.float32]]:
    """Embed the texts as queries and as documents with sentence-transformers, each alone: no batch moves a vector."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    calls = (loaded.encode_query, loaded.encode_document)
    return [np.stack([np.asarray(call(text), dtype=np.float32) for text in TEXTS]) for call in calls]


def compare(ours: list[NDArray[np.float32]], theirs: list[NDArray[np.float32]]) -> tuple[str, str]:
    """Hold two engines' vectors against each other."""
    least = 1.0
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            return "other vectors", f"shapes {mine.shape} and {other.shape}"
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(other, axis=1)
        cosines = (mine.astype(np.float64) * other).sum(axis=1) / lengths
        least = min(least, float(np.nan_to_num(cosines, nan=-1.0).min()))
    return ("equal" if least >= LEAST_COSINE else "other vectors"), f"least cosine {least:.5f}"


def quiet() -> None:
    """Silence what the libraries say about damaged models."""
    from transformers.utils import logging as transformers_logging

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()


def main() -> int:
    """Run the fuzzer; exit code 1 if a case is bad."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="cases")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; the others follow")
    parser.add_argument("--step", type=int, default=1, help="distance of the seeds, to share the cases among processes")
    parser.add_argument("--output", type=Path, help="write every case here, a JSON object a line")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    from tests.model.corpus import write_corpus

    counts: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        os.environ["SLIMVEC_CACHE"] = f"{place}/cache"
        (Path(place) / "corpus").mkdir()
        (Path(place) / "work").mkdir()
        corpus = write_corpus(Path(place) / "corpus")
        for number in range(options.count):
            case = run_case(corpus, options.seed + number * options.step, Path(place) / "work")
            counts[case.verdict] += 1
            _report(case, options.output, counts, time.monotonic() - began)
    print(json.dumps({"count": options.count, **counts, "seconds": round(time.monotonic() - began)}))
    return 1 if any(counts[verdict] for verdict in BAD) else 0


def _report(case: Case, output: Path | None, counts: Mapping[str, int], seconds: float) -> None:
    line: dict[str, Any] = asdict(case)
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if case.verdict in BAD:
        print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)
    if sum(counts.values()) % 100 == 0:
        print(f"{sum(counts.values())} cases in {seconds:.0f} s: {dict(counts)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
