"""`slimvec synthesize`: training pairs written by a language model in the voice of many personas."""

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slimvec.cli.failures import AGAIN
from slimvec.cli.options import ForceOption
from slimvec.cli.record_options import RecordsOutputOption, ReportOption, report_path
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError
from slimvec.files import atomic_file

if TYPE_CHECKING:
    from slimvec.data.records import Record
    from slimvec.data.synthesis import Generator, SynthesisReport, SynthesisSettings
    from slimvec.model.generation import LocalGenerator

KEYS = {
    "output": "path of the records",
    "report": "path of the report, with examples of refused answers",
    "num_records": "records written",
    "num_samples": "samples tried for them",
    "refused": "by reason: answers that could not be used",
    "num_requests": "requests answered by the model in this run",
    "num_cached": "requests answered by earlier runs",
    "tokens_in": "tokens of this run's requests",
    "tokens_out": "tokens of their answers",
    "cost": "cost of this run, by the prices given",
    "total_cost": "the same with the earlier runs' that the cache answered",
}


def synthesize(
    terminal: Terminal,
    *,
    output: RecordsOutputOption,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Base address of a server, as in http://localhost:8000/v1.", metavar="URL"),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Name of the model there.", metavar="NAME")] = None,
    local: Annotated[
        str | None,
        typer.Option(
            help="Instead of a server: a causal language model on this machine, as a folder, a .gguf file, a built-in "
            "name (smollm2-135m) or a hub name. Small ones write little that passes the checks.",
            metavar="M",
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer of a local model.")] = 1024,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="Records wanted.")] = 100,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="short-long, long-short, short-short, long-long, sts or bitext; default all. Can be given several "
            "times.",
            metavar="KIND",
        ),
    ] = None,
    personas: Annotated[
        Path | None, typer.Option(help="YAML with languages and personas. Default: slimvec's own.", metavar="FILE")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Only personas that write in this language. Can be given several times.", metavar="CODE"),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the answers. Default: OUTPUT.answers.", metavar="DIR")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the key, if the endpoint wants one.", metavar="NAME")
    ] = "OPENAI_API_KEY",
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests under way at once; a local model answers one after the other.")
    ] = 8,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds an answer may take.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts when the endpoint fails.")] = 6,
    temperature: Annotated[float, typer.Option(min=0, help="Sampling temperature of the model.")] = 1.0,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million tokens of requests.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Price of a million tokens of answers.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for personas, kinds and style.")] = 0,
    report: ReportOption = None,
    force: ForceOption = False,
) -> Result:
    """Have a language model write training pairs in the voice of many personas.

    Retrieval tasks are invented first, then samples of them are written; answers are checked for form, length, language
    and repetition. Every answer is kept: a run that was stopped goes on when the same command is run again.
    """
    import asyncio

    from slimvec.data.synthesis import Endpoint, Prices, read_personas
    from slimvec.data.synthesis import synthesize as write
    from slimvec.data.writers import check_records_output, record_writer

    _check_model(endpoint=endpoint, model=model, local=local)
    place = report_path(output, report)
    check_records_output(output, force=force)
    terminal.reserve(output, place, force=force)
    settings = _settings(num=num, seed=seed, kinds=kind, temperature=temperature, concurrency=concurrency)
    voices = read_personas(personas).only(tuple(language or ()))
    answers = cache or output.parent / f"{output.name}.answers"
    terminal.kept = lambda: f"{AGAIN} to go on from {answers}" if answers.is_dir() else ""
    prices = Prices(tokens_in=price_in, tokens_out=price_out)
    generator: Generator
    opened: AbstractAsyncContextManager[object] = nullcontext()
    if local is not None:
        generator = _load_local(terminal, local, max_new_tokens)
    else:
        key = os.environ.get(key_variable) or None
        generator = opened = Endpoint(str(endpoint), str(model), key=key, timeout=timeout, retries=retries)
    with terminal.task("writing", total=num, unit="records") as progress:

        async def run() -> "tuple[list[Record], SynthesisReport]":
            async with opened:
                return await write(
                    generator,
                    settings,
                    voices,
                    cache=answers,
                    prices=prices,
                    on_record=lambda done: progress.update(completed=done),
                    on_answer=lambda done: progress.update(detail=f"{done:,} answers"),
                )

        records, done = asyncio.run(run())
    with record_writer(output, force=force) as write_record:
        for record in records:
            write_record(record)
    with atomic_file(place, force=force) as path:
        path.write_text(done.model_dump_json(indent=2) + "\n", encoding="utf-8")
    known = done.model_dump(mode="json")
    terminal.print(
        f"{done.num_records:,} records of {done.num_samples:,} samples; {done.num_requests:,} requests "
        f"({done.num_cached:,} more from {answers}), {done.tokens_in:,} tokens in, {done.tokens_out:,} out, cost "
        f"{done.cost:.4f}",
        f"{output}: the records; {place}: the report",
    )
    return {"output": str(output), "report": str(place), **{key: known[key] for key in list(KEYS)[2:]}}


def _check_model(*, endpoint: str | None, model: str | None, local: str | None) -> None:
    """See that one model is named, a server's or a local one.

    Raises:
        InputError: none, both, or half of one.
    """
    if (endpoint is None) == (local is None):
        found = "neither --endpoint nor --local" if local is None else "--endpoint and --local"
        raise InputError(found, expected="one of them")
    if (endpoint is None) != (model is None):
        found = "--endpoint without --model" if model is None else "--model without --endpoint"
        raise InputError(found, expected="both, or --local M alone")


def _load_local(terminal: Terminal, source: str, max_new_tokens: int) -> "LocalGenerator":
    """Load a model of this machine. Errors as for `LocalGenerator`."""
    with terminal.task(f"loading {source}") as task:
        from slimvec.model.generation import LocalGenerator

        return LocalGenerator(source, max_new_tokens=max_new_tokens, progress=task.share)


def _settings(
    *, num: int, seed: int, kinds: list[str] | None, temperature: float, concurrency: int
) -> "SynthesisSettings":
    """Put the settings together.

    Raises:
        InputError: a kind of task that there is not.
    """
    from slimvec.data.synthesis import SynthesisSettings
    from slimvec.data.synthesis.tasks import TASK_TYPES

    chosen = tuple(known for known in TASK_TYPES if kinds is None or known in kinds)
    unknown = set(kinds or ()) - set(TASK_TYPES)
    if unknown:
        raise InputError(f"kind {min(unknown)!r}", expected=f"one of {', '.join(TASK_TYPES)}")
    return SynthesisSettings(num_records=num, seed=seed, kinds=chosen, temperature=temperature, concurrency=concurrency)
