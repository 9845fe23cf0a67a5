"""Chat completions from any OpenAI-compatible endpoint, retried when it fails."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from slimvec.data.synthesis.answers import Completion, Message
from slimvec.errors import FetchError
from slimvec.optional import require

_RETRIED = (408, 409, 429, 500, 502, 503, 504)
_MAX_WAIT = 60.0


class Endpoint:
    """An endpoint, to be used as an asynchronous context.

    Args:
        url: The base, as in `http://localhost:8000/v1`.
        model: Name of the model there.
        key: Sent as bearer token, if any.
        timeout: Seconds an answer may take.
        retries: Further attempts after refusals for the time being (429), failures of the server and of the network.
        first_wait: Seconds before the first of them; doubled each time, up to a minute, and cut by a random share so
            that workers do not come back together. A `Retry-After` of the server counts if it is longer.

    Attributes:
        url: The base.
        model: Name of the model.
        settings: Nothing: an answer depends on no more than the request.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        timeout: float = 120.0,
        retries: int = 6,
        first_wait: float = 1.0,
    ) -> None:
        self.url, self.model = url.rstrip("/"), model
        self.settings: Mapping[str, str | int] = {}
        self._retries, self._first_wait = retries, first_wait
        self._http = require("httpx2", purpose="asking an endpoint")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = self._http.AsyncClient(headers=headers, timeout=timeout)
        self._random = random.Random()

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.__aexit__(kind, error, trace)

    async def generate(self, messages: Sequence[Message], *, seed: int, temperature: float) -> Completion:
        """Have messages answered.

        Raises:
            FetchError: the endpoint refuses, cannot be reached, or keeps failing.
        """
        request = {"model": self.model, "messages": list(messages), "seed": seed, "temperature": temperature}
        return _completion(await self._post(request), self.url)

    async def _post(self, request: Mapping[str, Any]) -> Any:
        """Send a request until it is answered.

        Raises:
            FetchError: it is refused, or was tried often enough.
        """
        problem = ""
        for attempt in range(self._retries + 1):
            asked_for = 0.0
            try:
                response = await self._client.post(f"{self.url}/chat/completions", json=request)
            except self._http.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
            else:
                answer = _json(response.text)
                if response.status_code == 200 and answer is not None:
                    return answer
                problem = f"status {response.status_code} {_reason(response.text)}".strip()
                if response.status_code not in (200, *_RETRIED):
                    raise FetchError(f"{self.url} refused: {problem}", do="check address, model name and key")
                asked_for = _seconds(response.headers.get("retry-after"))
            if attempt < self._retries:
                wait = self._first_wait * 2**attempt * self._random.uniform(0.5, 1)
                await asyncio.sleep(min(max(wait, asked_for), _MAX_WAIT))
        raise FetchError(
            f"{self.url} failed {self._retries + 1} times, last with {problem}",
            do="see that the server is well; the same command goes on where it stopped",
        )


def _completion(answer: Any, url: str) -> Completion:
    try:
        text = answer["choices"][0]["message"]["content"]
        usage = answer.get("usage") or {}
        return Completion(
            text=text or "",
            tokens_in=usage.get("prompt_tokens") or 0,
            tokens_out=usage.get("completion_tokens") or 0,
        )
    except (TypeError, KeyError, IndexError, AttributeError, ValidationError) as error:
        raise FetchError(f"{url} answered with no chat completion", expected="choices[0].message.content") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _reason(text: str) -> str:
    """The message of an error's body, short."""
    body = _json(text)
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(message or text).split())[:200]


def _seconds(value: str | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0  # a date; the wait of our own is as good
