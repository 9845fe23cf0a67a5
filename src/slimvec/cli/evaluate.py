"""`slimvec evaluate`: how well a model does, on retrieval sets beside BM25 or on suites of tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.models import describe_model, load_embedder, model_or_default
from slimvec.cli.options import Opening
from slimvec.cli.scores import read_set, score_sets, scores_table, summary_of
from slimvec.cli.suites import SuiteEvaluation, choose_suite
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError, ModelError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from slimvec.data.retrieval import RetrievalSet
    from slimvec.evaluation.results import EvaluationResult, TaskResult

KEYS = {
    "scores": "by task: value, low and high of the main measure (95% interval; null from fewer than 10 samples)",
    "bm25": "the same for BM25; null with --no-bm25, and for suites",
    "tasks": "by task: measure, unit, metrics, subsets, sizes (null where unknown), truncated_share and seconds",
    "model": "source, revision, sha256, dims, dtype, engine and spec; for suites its card",
    "comparison": "by task: difference, interval, p, smallest difference that could be seen; null without --against",
    "output": "path of the results in full; null without --output",
}


def evaluate(
    terminal: Terminal,
    *,
    model: str | None = None,
    data: Path | None = None,
    suite: str | None = None,
    mteb_task: list[str] | None = None,
    task_name: list[str] | None = None,
    against: str | None = None,
    by_language: bool = False,
    strict: bool = False,
    bm25: bool = True,
    output: Path | None = None,
    task: str | None = None,
    opening: Opening,
    echo: bool = False,
    force: bool = False,
) -> Result:
    """Score a model on retrieval sets beside BM25, or on a suite of tasks, with 95% intervals.

    A set is a folder with corpus, queries and qrels as .jsonl or .jsonl.gz, or in the layout of BEIR. nDCG@10 is its
    main measure; the intervals are a bootstrap over the queries. With --suite, --mteb-task, --against, a server, a
    prompt or --backend sentence-transformers, tasks and measures are mteb's own (pip install 'slimvec[eval]').

    Options:
        model -m M: As everywhere, or a server: http://HOST:PORT/v1#MODEL, or bm25; default {DEFAULT_MODEL}.
        data -d: A folder with corpus, queries and qrels, or with folders of a suite's tasks.
        suite S: core, full, multilingual or a YAML file: tasks of mteb's on local data.
        mteb_task NAME: A task of mteb's, from the hub.
        task_name --task-name --only NAME: Only tasks of these names.
        against M: A second model, or bm25, to be compared task by task.
        by_language: Score each language of a set by itself; in suites `by` of a task does.
        bm25 --bm25/--no-bm25: Score BM25 beside the model.
        output -o PATH: Write the results in full: JSON, or for suites a folder.
        cache --cache/--no-cache: Keep vectors for the next evaluation of a suite.
    """
    terminal.reserve(output, force=force)
    opening = opening.named_anew(terminal)
    model = model_or_default(terminal, model)
    if not (data or suite or mteb_task):
        raise InputError("nothing to evaluate on", expected="--data FOLDER, --suite NAME or --mteb-task NAME")
    by_peers = opening.backend == "sentence-transformers" or "://" in model or model == "bm25"
    has_prompt = opening.query_prompt is not None or opening.document_prompt is not None
    if suite or mteb_task or against or by_peers or has_prompt:
        if by_language:
            raise InputError(
                "--by-language with tasks of mteb's",
                expected="--data alone, or a suite",
                do="split a task by `by: lang` in a suite",
            )
        chosen = choose_suite(suite, mteb_task or (), data, only=task_name or ()).instructed(task)
        evaluation = SuiteEvaluation(terminal, chosen, data, opening, echo=echo, strict=strict)
        return evaluation.report([model, *([against] if against else [])], output, force=force)
    assert data is not None
    datasets = _read(terminal, data, task_name or (), by_language=by_language, strict=strict)
    try:
        embedder = load_embedder(terminal, model, opening, echo=echo)
    except ModelError as error:
        raise _naming_the_other(error, model, opening.revision) from error
    from slimvec.evaluation.slimvec_model import describe_embedder

    card = describe_embedder(embedder, name=model, revision=opening.revision, task=task)
    result = score_sets(terminal, embedder, datasets, card, task=task)
    baseline = _score_bm25(terminal, datasets) if bm25 else None
    terminal.print(*_tables(result, baseline))  # before the file: a full disk shall not take the scores with it
    if output is not None:
        result.write(output, force=force)
    described = describe_model(embedder, model, revision=opening.revision)
    return summary_of(result, baseline=baseline, output=output) | {"model": described}


def _naming_the_other(error: ModelError, model: str, revision: str | None) -> ModelError:
    """Name what else can score a model of sentence-transformers that slimvec cannot run."""
    from slimvec.model.sources import resolve_source

    if not (resolve_source(model, revision=revision) / "modules.json").is_file():
        return error
    other = "score it as it is with --backend sentence-transformers"
    return ModelError(error.found, expected=error.expected, do=f"{error.do}, or {other}" if error.do else other)


def _read(
    terminal: Terminal, folder: Path, names: Sequence[str], *, by_language: bool, strict: bool
) -> "list[RetrievalSet]":
    """Read the sets asked for.

    Raises:
        InputError: there is none, one is malformed, or a name is not among them.
    """
    from slimvec.data.retrieval_files import find_retrieval_sets

    found = {path.absolute().name: path for path in find_retrieval_sets(folder)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise InputError(f"no set {unknown[0]!r} in {folder}", expected=f"one of {', '.join(found)}")
    chosen = list(dict.fromkeys(names or found))
    with terminal.task("reading", total=len(chosen), unit="sets") as task:
        datasets: list[RetrievalSet] = []
        for name in chosen:
            task.update(description=f"reading {name}")
            dataset = read_set(terminal, found[name], strict=strict)
            datasets += dataset.by_language().values() if by_language else [dataset]
            task.advance()
    return datasets


def _score_bm25(terminal: Terminal, datasets: "Sequence[RetrievalSet]") -> "list[TaskResult]":
    """Score BM25 on all sets."""
    from slimvec.evaluation.retrieval import score_bm25

    with terminal.task("scoring BM25"):
        return [score_bm25(dataset) for dataset in datasets]


def _tables(evaluation: "EvaluationResult", baseline: "Sequence[TaskResult] | None") -> "list[RenderableType]":
    """Lay out a table for each set, under a line with its sizes."""
    parts: list[RenderableType] = []
    for number, result in enumerate(evaluation.tasks):
        rows = [(evaluation.model.name, result), *([("BM25", baseline[number])] if baseline else [])]
        parts.append(f"{result.task}: {result.num_samples:,} queries, {result.num_documents:,} documents{_cut(result)}")
        parts.append(scores_table(rows, first_column=""))
    return parts


def _cut(result: "TaskResult") -> str:
    """Say what share of the texts were truncated, if any."""
    return f", {result.truncated_share:.1%} of the texts truncated" if result.truncated_share else ""
