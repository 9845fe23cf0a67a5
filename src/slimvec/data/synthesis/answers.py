"""What writes answers, an endpoint or a model on this machine, and the folder that keeps them by what was asked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import Field, ValidationError

from slimvec.files import write_text
from slimvec.frozen import Frozen

Message = Mapping[str, str]
"""`role` (`system` or `user`) and `content`."""


class Answer(Protocol):
    """What a model wrote."""

    @property
    def text(self) -> str:
        """The answer."""
        ...

    @property
    def tokens_in(self) -> int:
        """Tokens of the request; 0 when not known."""
        ...

    @property
    def tokens_out(self) -> int:
        """Tokens of the answer."""
        ...


class Generator(Protocol):
    """A language model that answers messages; `Endpoint` is one, and `slimvec.model.generation.LocalGenerator`."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def settings(self) -> Mapping[str, str | int]:
        """What else an answer depends on: requests that differ in it have answers of their own."""
        ...

    async def generate(self, messages: Sequence[Message], *, seed: int, temperature: float) -> Answer:
        """Answer messages, likewise for the same seed as far as the model can."""
        ...


class Completion(Frozen):
    """An answer as it is kept.

    Attributes:
        text: The answer.
        tokens_in: Tokens of the request, as the generator counts them; 0 when it does not say.
        tokens_out: Tokens of the answer.
        from_cache: Whether it was answered in an earlier run, or earlier in this one.
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    from_cache: bool = False


class Prices(Frozen):
    """Money for a million tokens, in the endpoint's currency.

    Attributes:
        tokens_in: Tokens of requests.
        tokens_out: Tokens of answers.
    """

    tokens_in: float = Field(default=0.0, ge=0)
    tokens_out: float = Field(default=0.0, ge=0)

    def cost(self, completion: Completion) -> float:
        """What an answer costs."""
        return (completion.tokens_in * self.tokens_in + completion.tokens_out * self.tokens_out) / 1e6


class AnswerCache:
    """A generator whose answers are kept.

    Args:
        generator: Asked when there is no answer yet.
        folder: Folder of the answers, a file each, named by the SHA-256 of model, settings and request. Where an
            endpoint is, is not part of the name, so that answers survive a move of the server.
    """

    def __init__(self, generator: Generator, folder: Path) -> None:
        self._generator, self._folder = generator, folder

    async def complete(self, messages: Sequence[Message], *, seed: int, temperature: float) -> Completion:
        """Have messages answered, from the folder if it can be.

        Raises:
            FetchError: an endpoint refuses, cannot be reached, or keeps failing.
            ModelError: a model on this machine cannot answer.
            StorageError: the answer cannot be kept.
        """
        asked = {"model": self._generator.model, "messages": list(messages), "seed": seed, "temperature": temperature}
        request = json.dumps(asked | dict(self._generator.settings), sort_keys=True)
        digest = hashlib.sha256(request.encode()).hexdigest()
        kept = self._folder / digest[:2] / f"{digest}.json"
        known = _read(kept)
        if known is not None:
            return known.model_copy(update={"from_cache": True})
        answer = await self._generator.generate(messages, seed=seed, temperature=temperature)
        completion = Completion(text=answer.text, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)
        write_text(kept, completion.model_dump_json(), force=True)
        return completion


def _read(path: Path) -> Completion | None:
    """An answer kept; None when there is none that can be read."""
    try:
        return Completion.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
