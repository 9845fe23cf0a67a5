"""A server with OpenAI's embeddings API as something to evaluate: `http://host:port/v1#model`."""

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urldefrag

import httpx2
import numpy as np

from slimvec.engine.bad_texts import refuse_not_finite
from slimvec.errors import FetchError, InputError
from slimvec.evaluation.models import ModelCard, Prompt, Usage
from slimvec.text.embeddings import Embeddings, OnProgress, Vectors
from slimvec.text.prompts import Role

BATCH_TEXTS = 64
NUM_TRIES = 5
KEY_VARIABLE = "OPENAI_API_KEY"
_TIMEOUT_SECONDS = 120.0
_TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)


def is_endpoint(source: str) -> bool:
    """Whether a model's name is the address of a server."""
    return source.startswith(("http://", "https://"))


class EndpointModel:
    """A model behind a server.

    Its vectors are never cached, as nobody here can see when its weights change. Tokens and truncation are unknown.

    Args:
        address: Address of the API with the model's name after `#`.
        query_prompt: Written in front of queries, when the server writes none itself.
        document_prompt: Written in front of documents.
        dims: Asked of the server as `dimensions`.
        transport: Transport of the client; for tests.
        wait: Sleeps between tries.

    Raises:
        InputError: the address names no model.
    """

    def __init__(
        self,
        address: str,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        dims: int | None = None,
        transport: httpx2.BaseTransport | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        base, name = urldefrag(address)
        if not name:
            raise InputError(f"address {address} names no model", expected="http://HOST:PORT/v1#MODEL")
        self._url = base.rstrip("/") + "/embeddings"
        self._name, self._dims, self._wait = name, dims, wait
        self._prompts = {"query": query_prompt or "", "document": document_prompt or ""}
        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(headers=headers, timeout=_TIMEOUT_SECONDS, transport=transport)

    @property
    def card(self) -> ModelCard:
        """What is known of it."""
        return ModelCard(
            name=self._name,
            kind="openai",
            identity=None,
            dims=self._dims,
            engine=self._url,
            prompts=self._prompts,
            remark="weights, dtype and truncation of a server cannot be seen",
        )

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage: that of its role."""
        return Prompt(self.render(usage.role), usage.role)

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what is written in front of texts: the task as it stands, else the prompt of the role."""
        return self._prompts.get(role or "", "") if task is None else task

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed texts in requests of `BATCH_TEXTS`; `task` is as for `render`.

        Raises:
            FetchError: the server cannot be reached, refuses, or answers with something else.
        """
        prompt = self.render(role, task)
        blocks: list[Vectors] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            block = [prompt + text for text in texts[start : start + BATCH_TEXTS]]
            blocks.append(_read_vectors(self._post(block), len(block), self._url))
            if on_progress is not None:
                on_progress(len(block))
        widths = {block.shape[1] for block in blocks}
        if len(widths) > 1:
            raise FetchError(f"{self._url}: vectors of widths {sorted(widths)}", expected="one width")
        vectors = np.concatenate(blocks)
        refuse_not_finite(vectors, texts, self._url)
        return Embeddings.uncounted(vectors)

    def _post(self, texts: list[str]) -> Any:
        """Ask for vectors, again after a pause where that can help; the answer's JSON."""
        body: dict[str, Any] = {"model": self._name, "input": texts, "encoding_format": "float"}
        if self._dims is not None:
            body["dimensions"] = self._dims
        problem = ""
        for number in range(NUM_TRIES):
            if number:
                self._wait(2 ** (number - 1) * (0.5 + random.random() / 2))
            try:
                answer = self._client.post(self._url, json=body)
            except httpx2.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code == httpx2.codes.OK:
                return _json(answer, self._url)
            problem = f"status {answer.status_code}: {answer.text[:200]}"
            if answer.status_code not in _TRY_AGAIN:
                raise FetchError(f"{self._url} refused: {problem}", do=f"check model {self._name!r} and {KEY_VARIABLE}")
        raise FetchError(f"{self._url} did not answer in {NUM_TRIES} tries ({problem})", do="check that it is running")


def _json(answer: httpx2.Response, url: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise FetchError(f"{url} answered {answer.text[:80]!r}", expected="JSON") from error


def _read_vectors(answer: Any, num_texts: int, url: str) -> Vectors:
    """Take the vectors out of an answer, in the order of the texts: [N, D]."""
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        vectors = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise FetchError(f"{url} answered {str(answer)[:80]!r}", expected="data with index and embedding") from error
    if [row["index"] for row in rows] != list(range(num_texts)) or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise FetchError(f"{url}: vectors of shape {vectors.shape}", expected=f"{num_texts} vectors of finite numbers")
    return vectors
