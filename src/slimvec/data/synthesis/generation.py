"""`synthesize`: samples written by several workers at once, checked, and put in one order whatever came first.

Every request follows from the seed and the number of its sample, and every answer is kept, so a run that was killed
and is started again asks only what it has not asked yet, and gives the same records as one that was not.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from slimvec.data.records import Record
from slimvec.data.synthesis.answers import AnswerCache, Completion, Generator, Message, Prices
from slimvec.data.synthesis.tasks import (
    TASK_TYPES,
    Assignment,
    Personas,
    TaskType,
    instruction_messages,
    sample_messages,
)
from slimvec.data.synthesis.validation import AnswerError, Novelty, Refusal, parse_instruction, parse_sample
from slimvec.errors import InputError
from slimvec.frozen import Frozen

T = TypeVar("T")
_MAX_FACTOR = 4
"""A run gives up after this many samples for each that was wanted: the model cannot do what it is asked."""
_EXAMPLES = 3


class SynthesisSettings(Frozen):
    """What is to be written.

    Attributes:
        num_records: Records wanted.
        seed: Random seed for all choices.
        kinds: Kinds of tasks, taken in turn.
        samples_per_instruction: Samples of each invented task. KaLM has 550,000 samples of 40,000 instructions.
        attempts: Answers asked for each request before its sample is given up.
        temperature: Temperature of the model's choice of words.
        concurrency: Requests under way at once.
    """

    num_records: int = Field(ge=1)
    seed: int = Field(default=0, ge=0)
    kinds: tuple[TaskType, ...] = Field(default=TASK_TYPES, min_length=1)
    samples_per_instruction: int = Field(default=10, ge=1)
    attempts: int = Field(default=2, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    concurrency: int = Field(default=8, ge=1)


class SynthesisReport(Frozen):
    """What was written, refused and paid.

    Attributes:
        settings: What was asked for.
        model: Name of the model.
        num_records: Records that passed.
        num_samples: Samples that were tried for them.
        kinds: Records by kind of task.
        languages: Records by language.
        refused: Answers refused, by reason.
        examples: The first refused answers of each reason, cut at 300 characters.
        num_requests: Requests answered by the model in this run.
        num_cached: Requests answered by the cache.
        tokens_in: Tokens of the requests answered in this run.
        tokens_out: Tokens of their answers.
        cost: Cost of these, by the prices given; 0 without prices.
        total_cost: With those of earlier runs that the cache answered.
    """

    settings: SynthesisSettings
    model: str
    num_records: int
    num_samples: int
    kinds: dict[str, int]
    languages: dict[str, int]
    refused: dict[Refusal, int]
    examples: dict[Refusal, tuple[str, ...]]
    num_requests: int
    num_cached: int
    tokens_in: int
    tokens_out: int
    cost: float
    total_cost: float


class _Writer:
    """Has samples written, and counts what that takes."""

    def __init__(
        self,
        answers: AnswerCache,
        settings: SynthesisSettings,
        personas: Personas,
        prices: Prices,
        on_answer: Callable[[int], None] | None,
    ) -> None:
        self.answers, self.settings, self.personas, self.prices = answers, settings, personas, prices
        self._on_answer = on_answer
        self.refused: Counter[Refusal] = Counter()
        self.examples: dict[Refusal, tuple[str, ...]] = {}
        self.answered: Counter[bool] = Counter()
        self.tokens_in = self.tokens_out = 0
        self.cost = self.total_cost = 0.0
        self._instructions: dict[int, asyncio.Task[str | None]] = {}

    async def write(self, number: int) -> Record | None:
        """Have a sample written; None when no answer could be used."""
        assignment = self._assign(number)
        instruction = ""
        if assignment.is_two_step:
            found = await self._instruction(assignment)
            if found is None:
                return None
            instruction = found
        messages = sample_messages(assignment, instruction)
        return await self._ask(messages, number, lambda answer: parse_sample(answer, assignment, instruction))

    async def _instruction(self, assignment: Assignment) -> str | None:
        """The task of a group of samples, invented once however many of them wait for it."""
        group = self._group(assignment.number)
        if group not in self._instructions:
            asked = self._ask(instruction_messages(assignment), group, parse_instruction)
            self._instructions[group] = asyncio.ensure_future(asked)
        return await self._instructions[group]

    async def _ask(self, messages: Sequence[Message], number: int, parse: Callable[[str], T]) -> T | None:
        """Ask until an answer can be used, each time with another seed."""
        for attempt in range(self.settings.attempts):
            seed = (self.settings.seed * 1_000_003 + number) * self.settings.attempts + attempt
            completion = await self.answers.complete(messages, seed=seed % 2**31, temperature=self.settings.temperature)
            self._count(completion)
            try:
                return parse(completion.text)
            except AnswerError as refusal:
                self.refuse(refusal.reason, refusal.text)
        return None

    def refuse(self, reason: Refusal, text: str) -> None:
        """Count an answer that cannot be used."""
        self.refused[reason] += 1
        kept = self.examples.get(reason, ())
        if len(kept) < _EXAMPLES:
            self.examples[reason] = (*kept, text[:300])

    def _count(self, completion: Completion) -> None:
        cost = self.prices.cost(completion)
        self.answered[completion.from_cache] += 1
        self.total_cost += cost
        if not completion.from_cache:
            self.cost += cost
            self.tokens_in += completion.tokens_in
            self.tokens_out += completion.tokens_out
        if self._on_answer is not None:
            self._on_answer(self.answered.total())

    def _group(self, number: int) -> int:
        return number // (len(self.settings.kinds) * self.settings.samples_per_instruction) * len(
            self.settings.kinds
        ) + number % len(self.settings.kinds)

    def _assign(self, number: int) -> Assignment:
        """Say what a sample is to be: kinds in turn; one persona for all samples of an invented task."""
        draw = random.Random(f"{self.settings.seed}/{self._group(number)}")
        kind = self.settings.kinds[number % len(self.settings.kinds)]
        persona = draw.choice(self.personas.personas)
        others = sorted(self.personas.languages.keys() - {persona.language})
        other = draw.choice(others) if kind == "bitext" and others else ""
        return Assignment(
            number=number,
            kind=kind,
            persona=persona,
            language=self.personas.languages[persona.language],
            other_code=other,
            other_language=self.personas.languages.get(other, ""),
            seed=self.settings.seed,
        )


async def synthesize(
    generator: Generator,
    settings: SynthesisSettings,
    personas: Personas,
    *,
    cache: Path,
    prices: Prices | None = None,
    on_answer: Callable[[int], None] | None = None,
    on_record: Callable[[int], None] | None = None,
) -> tuple[list[Record], SynthesisReport]:
    """Have a language model write training records.

    Args:
        generator: The model; an endpoint must be open.
        settings: What to write.
        personas: In whose voice.
        cache: Folder of the answers, as `AnswerCache` has it.
        prices: For the cost; default free.
        on_answer: Called with how many answers there are, each time one more has come.
        on_record: Called with how many records there are, each time one more has passed.

    Returns:
        The records, in the order of their samples, and the report.

    Raises:
        FetchError: an endpoint failed for good; its answers so far are kept.
        ModelError: a model on this machine cannot answer.
        InputError: bitext with personas of one language only, or four samples for each record wanted were not
            enough.
    """
    if "bitext" in settings.kinds and len(personas.languages) < 2:
        raise InputError("bitext with one language", expected="personas that name two languages or more")
    writer = _Writer(AnswerCache(generator, cache), settings, personas, prices or Prices(), on_answer)
    novelty, records, kinds = Novelty(), list[Record](), Counter[str]()
    num_samples = 0
    while len(records) < settings.num_records:
        missing = settings.num_records - len(records)
        if num_samples >= _MAX_FACTOR * settings.num_records:
            raise InputError(
                f"{num_samples} samples gave {len(records)} of {settings.num_records} records "
                f"(refused: {', '.join(f'{reason} {count}' for reason, count in writer.refused.most_common())})",
                expected="a model that can write them",
                do="try a stronger model, or fewer kinds and languages",
            )
        numbers = range(num_samples, num_samples + missing)
        num_samples += missing
        for record in await _write_all(writer, numbers):
            if record is None:
                continue
            if not novelty.admits(record):
                writer.refuse("duplicate", record.query)
                continue
            records.append(record)
            kinds[record.source] += 1
            if on_record is not None:
                on_record(len(records))
    return records, SynthesisReport(
        settings=settings,
        model=generator.model,
        num_records=len(records),
        num_samples=num_samples,
        kinds=dict(kinds.most_common()),
        languages=dict(Counter(record.language or "" for record in records).most_common()),
        refused=dict(writer.refused.most_common()),
        examples=writer.examples,
        num_requests=writer.answered[False],
        num_cached=writer.answered[True],
        tokens_in=writer.tokens_in,
        tokens_out=writer.tokens_out,
        cost=writer.cost,
        total_cost=writer.total_cost,
    )


async def _write_all(writer: _Writer, numbers: range) -> list[Record | None]:
    """Have samples written, some at once, and give them in their order; the first failure stops all."""
    written: list[Record | None] = [None] * len(numbers)
    left: Iterator[tuple[int, int]] = enumerate(numbers)

    async def work() -> None:
        for place, number in left:
            written[place] = await writer.write(number)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(writer.settings.concurrency, len(numbers))):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return written
