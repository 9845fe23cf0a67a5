"""`slimvec merge`: one model out of several."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from slimvec.cli.scores import read_set
from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.values import numbers
from slimvec.errors import InputError

KEYS = {
    "output": "the model's folder",
    "method": "linear, slerp or soup",
    "parents": "source, sha256, weight and, in a soup, score of each model; weight 0 was left out",
    "score": "nDCG@10 of the result, in a soup; else null",
}
_WEIGHTS = "numbers with commas between them, as in 0.7,0.3"


def merge(
    terminal: Terminal,
    *,
    models: list[str],
    output: Path,
    method: Literal["linear", "slerp", "soup"] = "linear",
    weights: str | None = None,
    data: Path | None = None,
    strict: bool = False,
    force: bool = False,
) -> Result:
    """Average models that were trained from one base.

    A soup adds models in the order of their scores (nDCG@10 on --data) and keeps each only if the score does not get
    worse. Adapters are merged into their base first.

    Positional:
        models MODEL: Models of one architecture, tokenizer and settings.

    Options:
        output -o: Folder to write the model into.
        method: Weighted mean; along the arc between two; or as many as do not make the score worse.
        weights W,W: A weight for each model, as in 0.7,0.3. Default: all alike.
        data -d D: For a soup: held-out pairs, or a folder with retrieval sets, to score on.
    """
    if (data is None) == (method == "soup"):
        found = "a soup without --data" if data is None else f"--data for {method}"
        raise InputError(found, expected="--data with --method soup, and only there")
    if weights is not None and method == "soup":
        raise InputError("--weights for a soup", expected="none", do="a soup weighs all of its models alike")
    terminal.reserve(output, force=force)
    given = None if weights is None else numbers(weights, "--weights", float, expected=_WEIGHTS)
    with terminal.task("merging") as task:
        from slimvec.model.merging import greedy_soup, merge_models

        if data is not None:
            record = greedy_soup(models, output, _scorer(terminal, data, task.share, strict=strict), force=force)
        elif method != "soup":
            record = merge_models(models, output, method=method, weights=given, force=force)
    for parent in record.parents:
        score = "" if parent.score is None else f", nDCG@10 {parent.score:.3f} by itself"
        terminal.print(f"{parent.weight:.3f}  {parent.source}{score}")
    total = "" if record.score is None else f", nDCG@10 {record.score:.3f}"
    terminal.print(f"{output}: {record.method}{total}")
    return {"output": output, **dict(record)}


def _scorer(
    terminal: Terminal, data: Path, notice: Callable[[str, float | None], None], *, strict: bool
) -> Callable[[Path], float]:
    """Give a function that scores the model in a folder: nDCG@10 on pairs, or the mean of it over retrieval sets.

    Raises:
        InputError: the data cannot be read, or a set holds what `strict` refuses.
    """
    from slimvec.engine.embedder import Embedder

    if data.is_dir():
        from slimvec.data.retrieval_files import find_retrieval_sets
        from slimvec.evaluation.retrieval import score_retrieval

        sets = [read_set(terminal, path, strict=strict) for path in find_retrieval_sets(data)]

        def score(embedder: Embedder) -> float:
            return sum(score_retrieval(embedder, found).score.value for found in sets) / len(sets)
    else:
        from slimvec.data.readers import read_records
        from slimvec.training.run.validation import HeldOutRetrieval

        retrieval = HeldOutRetrieval(list(read_records(data)))

        def score(embedder: Embedder) -> float:
            return retrieval(embedder)["ndcg_at_10"]

    def score_folder(folder: Path) -> float:
        notice(f"scoring {folder.name}", None)
        return score(Embedder.load(folder))

    return score_folder
