"""`slimvec embed`: the texts of a file to vectors in a file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slimvec.cli.blocks import embed_items
from slimvec.cli.models import describe_model, load_embedder, model_or_default
from slimvec.cli.options import Loading, Role
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.data.texts import Item, check_text_file, read_items
from slimvec.errors import InputError
from slimvec.files import atomic_file
from slimvec.reports.amounts import clock, counted

if TYPE_CHECKING:
    from slimvec.engine.bad_texts import OnBad
    from slimvec.engine.embedder import Embedder, Embeddings

OnLowCoverage = Literal["refuse", "warn"]
KEYS = {
    "output": "path of the file with the vectors",
    "num_texts": "texts read, and vectors written",
    "dims": "width of the vectors",
    "num_tokens": "tokens run through the model, prompts included",
    "num_truncated": "texts that were longer than the model's limit and were truncated",
    "skipped": "texts without a vector that were left out: place and reason of each",
    "coverage": "what --min-coverage found: min, lowest, place, num_low, piece_share; null unless asked",
    "prompt": "what was written in front of each text",
    "role": "query or document",
    "model": "source, revision, sha256, dims, dtype, engine and spec of the model",
    "seconds": "time of embedding and writing, without loading the model",
}
OnBadText = Literal["refuse", "skip"]
_SUFFIXES = (".npy", ".parquet")


def embed(
    terminal: Terminal,
    *,
    model: str | None = None,
    role: Role,
    input_path: Path,
    output: Path,
    task: str | None = None,
    field: str = "text",
    loading: Loading,
    min_coverage: float | None = None,
    on_low_coverage: OnLowCoverage = "refuse",
    on_bad: OnBadText = "refuse",
    titles: bool = False,
    force: bool = False,
) -> Result:
    """Turn the texts of a file into vectors.

    A .npy file holds the vectors in the order of the texts. A .parquet file holds id, text and vector, and says in its
    metadata which model wrote it, with which prompt, and how many texts were truncated.

    With --min-coverage, every text is first turned into tokens and back, and the share of its characters that returns
    is held against the limit: a text in a script that the model cannot read is named, not embedded.

    With --on-bad skip, texts that have no vector are left out, counted and named: a .npy file has fewer rows then.

    Options:
        role: What the texts are; it decides the prompt.
        input_path --input -i: A .txt (a text a line), .jsonl, .jsonl.gz or .parquet file.
        output -o: Where to write the vectors: .npy or .parquet.
        min_coverage SHARE (0 to 1): Share of each text's characters that the tokenizer shall read.
        on_low_coverage: What is done about texts below it.
        on_bad: What is done about texts without a vector: no tokens, or NaN from the model.
        titles: Put each row's title before its text, as search and evaluate do.
    """
    _check_output(output)
    terminal.reserve(output, force=force)
    if on_low_coverage == "warn" and min_coverage is None:
        raise InputError("--on-low-coverage warn without --min-coverage", expected="both, or nothing is looked at")

    def items() -> Iterator[Item]:
        return read_items(input_path, field=field, blank=on_bad == "skip", joined=titles)

    num_texts = _count(terminal, input_path, items, titles=titles)
    model = model_or_default(terminal, model)
    embedder = load_embedder(terminal, model, loading)
    report: Result = {"output": str(output), "num_texts": num_texts, "dims": embedder.dims, "role": role}
    report["coverage"] = None
    if min_coverage is not None:
        report["coverage"] = _coverage(terminal, embedder, input_path, items(), min_coverage, on_low_coverage)
    report["prompt"] = embedder.spec.prompts.render(role, task)
    report["model"] = describe_model(embedder, model, revision=loading.revision)
    with terminal.task("embedding", total=num_texts, unit="texts") as progress:
        mark: OnBad = "mark" if on_bad == "skip" else "refuse"
        blocks = embed_items(embedder, items(), role=role, task=task, progress=progress, on_bad=mark)
        report |= _write(blocks, output, report, force=force)
        report["seconds"] = round(progress.seconds, 3)
    _tell(terminal, report, embedder.spec.max_tokens)
    return report


def _check_output(output: Path) -> None:
    """Refuse an output that could not be written, before any work is done for it."""
    if output.suffix not in _SUFFIXES:
        raise InputError(
            f"output {output} is of an unknown kind", expected=f"a name ending in {' or '.join(_SUFFIXES)}"
        )


def _coverage(
    terminal: Terminal, embedder: "Embedder", path: Path, items: Iterable[Item], least: float, on_low: OnLowCoverage
) -> Result:
    """Hold the texts of a file against the share of their characters that shall come back from their tokens.

    Raises:
        InputError: a text is below it and shall be refused; the worst is named with its place and script.
    """
    from slimvec.engine.coverage import check_texts

    texts = ((item.place, item.text) for item in items)
    with terminal.task(f"checking that the tokenizer reads {path}"):
        check = check_texts(embedder.tokenizer, texts, min_coverage=least)
    if check.num_low and on_low == "refuse":
        raise check.error(
            "choose a model that reads the script (slimvec tokenizers shows which does), or pass --on-low-coverage warn"
        )
    if check.num_low:
        terminal.remark(check.found)
    return {"min": least, **named(check, ("lowest", "place", "num_low", "piece_share"))}


def _count(terminal: Terminal, path: Path, items: Callable[[], Iterator[Item]], *, titles: bool) -> int:
    """Count the texts, which finds what is wrong with the file before the model is loaded."""
    check_text_file(path)
    num_texts = num_titled = 0
    with terminal.task(f"reading {path}"):
        for item in items():
            num_texts += 1
            num_titled += bool(item.title)
    if num_titled and not titles:
        terminal.remark(f"{num_titled:,} texts have a title, which is left out; --titles puts it before the text")
    return num_texts


def _write(blocks: Iterator[tuple[list[Item], "Embeddings"]], output: Path, report: Result, *, force: bool) -> Result:
    """Write the vectors and give the counts that are known afterwards."""
    from slimvec.data.vector_files import vector_writer

    counts: Result = {"num_tokens": 0, "num_truncated": 0, "skipped": []}
    num_texts = 0
    with (
        atomic_file(output, force=force) as temporary,
        vector_writer(temporary, num_texts=report["num_texts"], dims=report["dims"]) as writer,
    ):
        for items, embeddings in blocks:
            bad = {text.number: text for text in embeddings.bad}
            counts["skipped"] += [{"place": items[n].place, "reason": text.reason} for n, text in bad.items()]
            kept = [number for number in range(len(items)) if number not in bad]
            writer.write([items[number] for number in kept], embeddings.vectors[kept] if bad else embeddings.vectors)
            num_texts += len(items)
            counts["num_tokens"] += embeddings.num_tokens
            counts["num_truncated"] += embeddings.num_truncated
        if num_texts != report["num_texts"]:
            raise InputError(
                f"the input changed while it was read: now {num_texts} texts", expected=f"{report['num_texts']} texts"
            )
        counts["num_texts"] = num_texts - len(counts["skipped"])
        described = {key: value for key, value in (report | counts).items() if key != "output"}
        writer.describe(described, num_texts=counts["num_texts"])
    return counts


def _tell(terminal: Terminal, report: Result, max_tokens: int) -> None:
    """Say what was done."""
    rate = report["num_tokens"] / max(report["seconds"], 1e-3)
    terminal.print(
        f"{counted(report['num_texts'], 'text')}, {counted(report['num_tokens'], 'token')} in "
        f"{clock(report['seconds'])} ({rate:,.0f} tokens/s)",
        f"{report['output']}: {counted(report['num_texts'], 'vector')} of {report['dims']} float32",
    )
    if report["skipped"]:
        first = report["skipped"][0]
        terminal.remark(
            f"{len(report['skipped']):,} texts were skipped, the first at {first['place']}, which {first['reason']}"
        )
    terminal.truncated(report["num_truncated"], "texts", f"{max_tokens} tokens")
