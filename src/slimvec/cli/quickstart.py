"""`slimvec quickstart`: from a raw language model to an embedding model, with numbers before and after."""

import os
import shlex
from pathlib import Path

from slimvec.cli.hits import hits_table
from slimvec.cli.phases import Quickstart, Setup, Stopwatch
from slimvec.cli.scores import scores_table
from slimvec.cli.terminal import Result, Terminal
from slimvec.files import atomic_folder, check_free
from slimvec.reports.amounts import clock

KEYS = {
    "raw": "the base as it is: ndcg_at_10, low and high (95% interval; null under 10 queries), mrr_at_10, recall_at_10",
    "trained": "the same after training",
    "bm25": "the same of BM25, which matches words",
    "bm25_split": "the same of BM25 with the parts of names such as copy_file as words too",
    "answers": "for each question: query, and hits with rank, cosine, id, title and text",
    "pace": "what was chosen to fit the time: num_documents, cut (tokens left of a document), pairs, document_tokens, "
    "training_seconds, and the steps and scoring_seconds expected",
    "seconds": "by phase: fetch, corpus, measuring, raw, training, trained, bm25, answers, and total",
    "corpus": "num_train, num_train_packages, num_documents, num_heldout_packages",
    "training": "steps, tokens, num_truncated, num_trained, first_loss, last_loss",
    "output": "the folder with all that is left",
    "model": "the trained model's folder",
    "next": "commands to type next",
}
DEFAULT_OUTPUT = Path("slimvec-quickstart")


def quickstart(
    terminal: Terminal,
    *,
    output: Path | None = None,
    setup: Setup,
    force: bool = False,
) -> Result:
    """Turn a raw language model into an embedding model, in ten minutes on two cores.

    Fetches SmolLM2-135M, reads the documentation of the Python packages on this machine, scores the raw model, trains
    it for a few minutes, scores it again beside BM25, and answers three questions. The packages it is scored on are not
    those it is trained on. A second run takes what the first has fetched and read.

    It measures the machine first, chooses how many documents are scored, how long they are and how much is trained, and
    says what it chose and what it would with more time. At least 300 documents are scored, and 45 seconds trained,
    however slow the machine is.

    Options:
        output -o: Folder to make.  [default: slimvec-quickstart, or the next free name]
    """
    folder = choose_output(output, force=force)
    terminal.reserve(folder, force=force)
    watch = Stopwatch()
    with atomic_folder(folder, force=force) as building:
        outcome = Quickstart(terminal, setup, watch).run(building)
    commands = next_commands(folder)
    terminal.print(
        scores_table(outcome.rows(), first_column=f"{outcome.num_documents:,} documents"),
        *(hits_table(question, hits) for question, hits in outcome.answers),
        f"Done in {clock(watch.total)}. Next:",
        *(f"  {command}" for command in commands),
    )
    return {
        **outcome.summary(),
        "seconds": watch.seconds | {"total": watch.total},
        "output": folder,
        "model": folder / "model",
        "next": commands,
    }


def choose_output(asked: Path | None, *, force: bool) -> Path:
    """Choose the folder to make: the one asked for, else the default, with a number if that is taken.

    Raises:
        InputError: the one asked for exists.
    """
    if asked is not None or force:
        chosen = asked or DEFAULT_OUTPUT
        check_free(chosen, force=force)
        return chosen
    names = [DEFAULT_OUTPUT.name, *(f"{DEFAULT_OUTPUT.name}-{number}" for number in range(2, 1000))]
    return next(path for path in map(Path, names) if not os.path.lexists(path))


def next_commands(folder: Path) -> list[str]:
    """Write the commands to go on with; they work as they stand."""
    model, documents = folder / "model", folder / "heldout" / "corpus.jsonl"
    return [
        _command("search", "how do I copy a file?", "--model", model, "--documents", documents),
        _command(
            "embed", "--model", model, "--role", "document", "--input", documents, "--output", folder / "vectors.npy"
        ),
        _command("evaluate", "--model", model, "--data", folder / "heldout"),
    ]


def _command(*words: str | Path) -> str:
    return shlex.join(["slimvec", *map(str, words)])
