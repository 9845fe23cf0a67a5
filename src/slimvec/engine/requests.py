"""What waits in a scheduler's queue: requests for vectors, other work, and how each is answered."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TypeVar

from slimvec.engine.executor import Executor
from slimvec.errors import SlimvecError
from slimvec.text.embeddings import Embeddings, Vectors
from slimvec.text.tokenizer import TokenizedTexts

_T = TypeVar("_T")


class OverloadedError(SlimvecError):
    """More is waiting than will be served in time.

    Args:
        seconds: After which there should be room again.
        waiting_tokens: Tokens that wait.
    """

    def __init__(self, seconds: float, waiting_tokens: int) -> None:
        self.seconds = seconds
        super().__init__(
            f"{waiting_tokens:,} tokens are waiting already", do=f"ask again in {max(1, round(seconds))} seconds"
        )


class ClosedError(SlimvecError):
    """Work is offered to a scheduler that has been closed."""


@dataclass(eq=False)
class Job:
    """A request on its way.

    Attributes:
        executor: What its texts run through.
        texts: As asked.
        tokenized: Their tokens.
        prompt: Written in front of them.
        dims: Width of the vectors; None for the model's.
        normalize: Unit length; None for what the model does.
        future: Its answer.
        next: Number of the next text to compute.
        rows: What the head gave, by text, before any cut.
    """

    executor: Executor
    texts: Sequence[str]
    tokenized: TokenizedTexts
    prompt: str
    dims: int | None
    normalize: bool | None
    future: "Future[Embeddings]" = field(default_factory=Future)
    next: int = 0
    rows: dict[int, Vectors] = field(default_factory=dict)

    @property
    def num_left(self) -> int:
        """Texts that nobody has begun."""
        return len(self.texts) - self.next

    @property
    def tokens_left(self) -> int:
        """Their tokens."""
        return sum(len(sequence) for sequence in self.tokenized.sequences[self.next :])


@dataclass(eq=False)
class Call:
    """Work that is no embedding.

    Attributes:
        run: The function, called when its turn comes.
        tokens_left: What it takes, in tokens.
        future: Its result.
    """

    run: Callable[[], None]
    tokens_left: int
    future: "Future[object]"


@dataclass(frozen=True, eq=False)
class Item:
    """A text of a batch."""

    job: Job
    number: int

    @property
    def tokens(self) -> list[int]:
        """Its tokens."""
        return self.job.tokenized.sequences[self.number]

    @property
    def prefix_length(self) -> int:
        """Tokens of its prompt."""
        return self.job.tokenized.prefix_lengths[self.number]


def settle(future: "Future[_T]", result: _T) -> None:
    """Answer, unless nobody waits any more."""
    try:
        future.set_result(result)
    except InvalidStateError:  # cancelled meanwhile
        return


def fail(future: "Future[_T]", error: BaseException) -> None:
    """Answer with an error, unless nobody waits any more."""
    try:
        future.set_exception(error)
    except InvalidStateError:  # cancelled meanwhile
        return
