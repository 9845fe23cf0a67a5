"""`slimvec synthesize`: training pairs written by a language model in the voice of many personas."""

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.failures import AGAIN
from slimvec.cli.records import RecordsOutput
from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.values import among, exactly_one
from slimvec.errors import InputError
from slimvec.files import write_text

if TYPE_CHECKING:
    from slimvec.data.records import Record
    from slimvec.data.synthesis import Generator, SynthesisReport

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
    into: RecordsOutput,
    endpoint: str | None = None,
    model: str | None = None,
    local: str | None = None,
    max_new_tokens: int = 1024,
    num: int = 100,
    kind: list[str] | None = None,
    personas: Path | None = None,
    language: list[str] | None = None,
    cache: Path | None = None,
    key_variable: str = "OPENAI_API_KEY",
    concurrency: int = 8,
    timeout: float = 120.0,
    retries: int = 6,
    temperature: float = 1.0,
    price_in: float = 0.0,
    price_out: float = 0.0,
    seed: int = 0,
) -> Result:
    """Have a language model write training pairs in the voice of many personas.

    Retrieval tasks are invented first, then samples of them are written; answers are checked for form, length, language
    and repetition. Every answer is kept: a run that was stopped goes on when the same command is run again.

    Options:
        endpoint URL: Base address of a server, as in http://localhost:8000/v1.
        model -m NAME: Name of the model there.
        local M: Instead of a server: a causal language model on this machine, as a folder, a .gguf file, a built-in
            name (smollm2-135m) or a hub name. Small ones write little that passes the checks.
        max_new_tokens (from 1): Longest answer of a local model.
        num -n (from 1): Records wanted.
        kind KIND: short-long, long-short, short-short, long-long, sts or bitext; default all.
        personas FILE: YAML with languages and personas. Default: slimvec's own.
        language CODE: Only personas that write in this language.
        cache DIR: Folder of the answers. Default: OUTPUT.answers.
        key_variable NAME: Environment variable with the key, if the endpoint wants one.
        concurrency (from 1): Requests under way at once; a local model answers one after the other.
        timeout (from 0.01): Seconds an answer may take.
        retries (from 0): Further attempts when the endpoint fails.
        temperature (from 0): Sampling temperature of the model.
        price_in (from 0): Price of a million tokens of requests.
        price_out (from 0): Price of a million tokens of answers.
        seed (from 0): Random seed for personas, kinds and style.
    """
    import asyncio

    from slimvec.data.synthesis import Endpoint, Prices, SynthesisSettings, read_personas
    from slimvec.data.synthesis import synthesize as write
    from slimvec.data.synthesis.tasks import TASK_TYPES
    from slimvec.data.writers import record_writer

    _check_model(endpoint=endpoint, model=model, local=local)
    into.reserve(terminal)
    output, place = into.output, into.report_path
    kinds = tuple(among(kind, tuple(TASK_TYPES), what="kind"))
    settings = SynthesisSettings(
        num_records=num, seed=seed, kinds=kinds, temperature=temperature, concurrency=concurrency
    )
    voices = read_personas(personas).only(tuple(language or ()))
    answers = cache or output.parent / f"{output.name}.answers"
    terminal.kept = lambda: f"{AGAIN} to go on from {answers}" if answers.is_dir() else ""
    prices = Prices(tokens_in=price_in, tokens_out=price_out)
    generator: Generator
    opened: AbstractAsyncContextManager[object] = nullcontext()
    if local is not None:
        with terminal.task(f"loading {local}") as task:
            from slimvec.model.generation import LocalGenerator

            generator = LocalGenerator(local, max_new_tokens=max_new_tokens, progress=task.share)
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
    with record_writer(output, force=into.force) as write_record:
        for record in records:
            write_record(record)
    write_text(place, done.model_dump_json(indent=2) + "\n", force=into.force)
    terminal.print(
        f"{done.num_records:,} records of {done.num_samples:,} samples; {done.num_requests:,} requests "
        f"({done.num_cached:,} more from {answers}), {done.tokens_in:,} tokens in, {done.tokens_out:,} out, cost "
        f"{done.cost:.4f}",
        f"{output}: the records; {place}: the report",
    )
    return into.summary(done, KEYS)


def _check_model(*, endpoint: str | None, model: str | None, local: str | None) -> None:
    """See that one model is named, a server's or a local one.

    Raises:
        InputError: none, both, or half of one.
    """
    exactly_one(endpoint=endpoint, local=local)
    if (endpoint is None) != (model is None):
        found = "--endpoint without --model" if model is None else "--model without --endpoint"
        raise InputError(found, expected="both, or --local M alone")
