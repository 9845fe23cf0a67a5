"""From the texts of a request to their vectors: what every route that embeds does."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from slimvec.engine.scheduler import PASS_TOKENS
from slimvec.errors import InputError
from slimvec.serving.errors import ApiError
from slimvec.serving.metrics import Metrics
from slimvec.serving.served import ServedModel
from slimvec.serving.settings import ServerSettings
from slimvec.serving.token_ids import text_of_ids
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import TokenizedTexts

_T = TypeVar("_T")
Inputs = Sequence[str | list[int]]
_TOKENIZING_THREADS = 2


@dataclass(frozen=True)
class Asked:
    """How the texts of a request shall be embedded.

    Attributes:
        role: Role of all texts.
        task: A task the model knows, or an instruction; None for its default.
        dims: Width of the vectors; None for the model's.
        normalize: Unit length; None for what the model does.
        cut: Whether texts over the model's limit are cut; refused else.
    """

    role: Role
    task: str | None = None
    dims: int | None = None
    normalize: bool | None = None
    cut: bool = True


class Desk:
    """Takes requests to the queues of the models, within the server's limits.

    Args:
        settings: The limits.
        metrics: Counts.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self.settings, self._metrics = settings, metrics
        self._threads: CapacityLimiter | None = None

    async def embed(self, model: ServedModel, inputs: Inputs, asked: Asked) -> Embeddings:
        """Embed the texts of a request.

        Raises:
            ApiError: too many texts, one that is too long under `cut=False`, no answer in time.
            InputError: texts or settings that the model does not take.
            OverloadedError: too much is waiting.
        """
        self.check_number(len(inputs))
        texts, tokenized = await self.in_thread(lambda: _tokenize(model, inputs, asked))
        future = model.scheduler.submit_tokenized(texts, tokenized, asked.role, asked.task, asked.dims, asked.normalize)
        answer = await self.wait(future)
        self._metrics.embedded(model.name, asked.role, answer)
        return answer

    async def call(self, model: ServedModel, function: Callable[[], _T], *, num_tokens: int) -> _T:
        """Call a function on the thread of a model's queue, when its turn comes.

        Args:
            model: Whose queue.
            function: What is called.
            num_tokens: What it takes, in tokens.

        Raises:
            ApiError: no answer in time.
            OverloadedError: too much is waiting.
        """
        return await self.wait(model.scheduler.call(function, num_tokens=max(PASS_TOKENS, num_tokens)))

    async def in_thread(self, function: Callable[[], _T]) -> _T:
        """Call a function that computes for a while, beside the loop."""
        if self._threads is None:
            self._threads = CapacityLimiter(_TOKENIZING_THREADS)
        return await to_thread.run_sync(function, limiter=self._threads)

    async def wait(self, future: "Future[_T]") -> _T:
        """Wait for an answer; giving up drops what has not been computed.

        Raises:
            ApiError: it does not come in time.
        """
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise ApiError(
                504, f"no answer within {self.settings.request_seconds:g} seconds; send fewer texts at a time"
            ) from error

    def check_number(self, number: int, param: str = "input") -> None:
        """Refuse a request with too many texts, or none.

        Raises:
            ApiError: always then.
        """
        if not 1 <= number <= self.settings.max_texts:
            raise ApiError(400, f"{number:,} texts; expected 1 to {self.settings.max_texts:,}", param=param)


def _tokenize(model: ServedModel, inputs: Inputs, asked: Asked) -> tuple[list[str], TokenizedTexts]:
    """Read and tokenise the texts of a request."""
    tokenizer = model.embedder.for_role(asked.role).tokenizer
    texts = [
        item if isinstance(item, str) else text_of_ids(tokenizer, item, number=number)
        for number, item in enumerate(inputs)
    ]
    tokenized = model.scheduler.tokenize(texts, asked.role, asked.task)
    if not asked.cut and tokenized.num_truncated:
        number = tokenized.truncated.index(True)
        raise InputError(
            f"text {number} is longer than {tokenizer.max_tokens:,} tokens",
            expected="texts within the model's limit",
            do="shorten it, or ask with truncate=true to have its end cut off",
        )
    return texts, tokenized
