"""One queue in front of a model for any number of askers: their texts are computed together, batch by batch.

Texts of many requests share a batch, whatever their roles and prompts. Requests take turns, text by text, so that a
small one is not held up by a large one that came before. A text whose vector is NaN or infinite, and a request whose
batch fails, do not touch the others. Work that is not an embedding (reranking, attribution) waits in the same queue, so
that one thread computes at a time.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

import numpy as np
import torch

from slimvec.engine.bad_texts import bad_rows
from slimvec.engine.executor import Executor
from slimvec.engine.requests import Call, ClosedError, Item, Job, OverloadedError, fail, settle
from slimvec.model.head import check_dims, cut
from slimvec.text.embeddings import Embeddings, Vectors
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import TokenizedTexts

_T = TypeVar("_T")
MAX_WAITING_TOKENS = 1 << 18
MAX_WAIT_SECONDS = 30.0
PASS_TOKENS = 48
"""What another pass through the model costs beside its tokens, in tokens: the weights are read once more. 135M weights
take about 50 ms in float32 from the memory of a machine that computes 800 tokens a second, and 15 ms in bfloat16 on one
with 2,900."""
_BATCH_TOKENS = 1024
"""Most tokens of a batch on a CPU, where a batch is what the next request has to wait for. Larger ones are a few
per cent faster."""
_SPEED_WEIGHT = 0.2


class Scheduler:
    """Serves requests for vectors of one model, from any thread, on a thread of its own.

    Args:
        executor: Runs batches; an `Embedder` has one.
        queries: Runs those of queries, in a model that has another route for them.
        batch_tokens: Most tokens of a batch; default the model's budget, on CPUs at most 1,024.
        max_waiting_tokens: Beyond this many tokens in the queue, requests are refused.
        max_wait_seconds: Refused too when what waits would take longer than this.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        queries: Executor | None = None,
        batch_tokens: int | None = None,
        max_waiting_tokens: int = MAX_WAITING_TOKENS,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._executors: dict[Role, Executor] = {"document": executor, "query": queries or executor}
        most = executor.token_budget(0)
        self.batch_tokens = batch_tokens or (min(most, _BATCH_TOKENS) if executor.engine.device.type == "cpu" else most)
        self._max_waiting_tokens, self._max_wait_seconds = max_waiting_tokens, max_wait_seconds
        self._queue: deque[Job | Call] = deque()
        self._changed = threading.Condition()
        self._waiting_tokens, self._speed, self._closed = 0, 0.0, False
        self._known = {executor.spec.prompts.render(role) for role in ("query", "document")}
        self._thread = threading.Thread(target=self._work, name="slimvec scheduler", daemon=True)
        self._thread.start()

    @property
    def waiting_tokens(self) -> int:
        """Tokens that no batch has yet."""
        return self._waiting_tokens

    @property
    def waiting_requests(self) -> int:
        """Requests with such tokens."""
        return len(self._queue)

    @property
    def tokens_per_second(self) -> float:
        """Tokens that batches computed in a second, of late; 0 before the first."""
        return self._speed

    @property
    def is_running(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and not self._closed

    def submit(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        task: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
    ) -> "Future[Embeddings]":
        """Ask for the vectors of texts. Tokenises them in the calling thread; cancelling the future drops the rest.

        Args:
            texts: N texts. None may be empty.
            role: It decides the prompt.
            task: As for `Embedder.embed`.
            dims: Width of the vectors, when fewer than the model's.
            normalize: Whether to scale to unit length, where that shall differ from what the model does.

        Raises:
            InputError: as for `Embedder.embed`.
            OverloadedError: too much is waiting.
            ClosedError: it has been closed.
        """
        return self.submit_tokenized(texts, self.tokenize(texts, role, task), role, task, dims, normalize)

    def tokenize(self, texts: Sequence[str], role: Role, task: str | None) -> TokenizedTexts:
        """Tokenise texts behind the prompt of a role, so that a caller can look at them before `submit_tokenized`."""
        executor, prompt = self._through(role, task)
        return executor.tokenizer.tokenize(texts, prompt=prompt)

    def submit_tokenized(
        self,
        texts: Sequence[str],
        tokenized: TokenizedTexts,
        role: Role = "document",
        task: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
    ) -> "Future[Embeddings]":
        """Ask for the vectors of texts that `tokenize` has tokenised for the same role and task; see `submit`."""
        executor, prompt = self._through(role, task)
        check_dims(dims, executor.spec.dims or executor.spec.full_width(executor.width))
        job = Job(executor, texts, tokenized, prompt, dims, normalize)
        if not texts:
            return self._finished(job)
        self._enqueue(job, sum(tokenized.lengths))
        return job.future

    def _through(self, role: Role, task: str | None) -> tuple[Executor, str]:
        """Give what texts in a role run through, and their prompt."""
        prompt = self._executors["document"].spec.prompts.render(role, task)
        return self._executors[role], prompt

    def call(self, function: Callable[[], _T], *, num_tokens: int = PASS_TOKENS) -> "Future[_T]":
        """Have a function called on the scheduler's thread when its turn comes; it may use the embedder.

        Args:
            function: What is called, unless the future is cancelled before.
            num_tokens: What it takes, in tokens, by which others wait for it.

        Raises:
            OverloadedError: too much is waiting.
            ClosedError: it has been closed.
        """
        future: Future[_T] = Future()

        def run() -> None:
            try:
                settle(future, function())
            except Exception as error:  # it is the asker's
                fail(future, error)

        self._enqueue(Call(run, num_tokens, future), num_tokens)  # type: ignore[arg-type]
        return future

    def close(self) -> None:
        """Take no more, finish what was taken, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _enqueue(self, work: "Job | Call", num_tokens: int) -> None:
        with self._changed:
            if self._closed:
                raise ClosedError("the server is shutting down", do="ask another one")
            wait = self._waiting_tokens / self._speed if self._speed else 0.0
            full = self._waiting_tokens + num_tokens > self._max_waiting_tokens or wait > self._max_wait_seconds
            if self._queue and full:
                raise OverloadedError(wait or 1.0, self._waiting_tokens)
            self._queue.append(work)
            self._waiting_tokens += num_tokens
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                batch = self._take()
            if isinstance(batch, Call):
                batch.run()
            elif batch:
                self._run(batch)

    def _take(self) -> "list[Item] | Call":
        """Take the next batch off the queue, a text of each request in turn; or the call whose turn it is."""
        batch: list[Item] = []
        room = self.batch_tokens
        while self._queue:
            work = self._queue[0]
            if work.future.cancelled():
                self._waiting_tokens -= work.tokens_left
                self._queue.popleft()
                continue
            if isinstance(work, Call):
                if batch:
                    break
                self._waiting_tokens -= work.tokens_left
                self._queue.popleft()
                return work
            item = Item(work, work.next)
            cost = self._cost(item)
            if batch and cost > room:
                break
            self._queue.popleft()
            batch.append(item)
            room -= cost
            self._waiting_tokens -= len(item.tokens)
            work.next += 1
            if work.num_left:
                self._queue.append(work)
        return batch

    def _cost(self, item: Item) -> int:
        """Tokens that a text adds to a batch, without a prompt that need not be run again."""
        shared = item.job.executor.prefix_tokens(item.job.prompt)
        return len(item.tokens) - (shared if item.prefix_length == shared else 0)

    def _run(self, batch: list[Item]) -> None:
        """Compute a batch; when that fails, each request by itself, so that only those fail that fail alone."""
        try:
            self._compute(batch)
        except Exception as error:  # whatever it is belongs to a request
            jobs = list(dict.fromkeys(item.job for item in batch))
            if len(jobs) == 1:
                fail(jobs[0].future, error)
                self._drop(jobs[0])
                return
            for job in jobs:
                self._run([item for item in batch if item.job is job])

    def _compute(self, batch: list[Item]) -> None:
        start, num_tokens = time.perf_counter(), 0
        found: list[tuple[Item, Vectors]] = []
        for executor, items, prompt in self._passes(batch):
            tokenized = TokenizedTexts(
                [item.tokens for item in items], [item.prefix_length for item in items], [False] * len(items)
            )
            poolings = (executor.spec.pooling,)
            prefix, spent = None, 0
            if prompt is not None:
                prefix, spent = executor.shared_prefix(prompt, poolings, tokenized.prefix_lengths)
            pooled = executor.pool(tokenized, range(len(items)), poolings, prefix)[0]
            with torch.inference_mode():
                vectors = executor.head(pooled).cpu().numpy()
            num_tokens += spent + sum(tokenized.lengths) - (prefix.length * len(items) if prefix else 0)
            found += zip(items, vectors, strict=True)
        self._measure(num_tokens, time.perf_counter() - start)
        for item, vector in found:
            item.job.rows[item.number] = vector
        for job in dict.fromkeys(item.job for item in batch):
            if len(job.rows) == len(job.texts):
                self._finished(job)

    def _passes(self, batch: list[Item]) -> Iterator[tuple[Executor, list[Item], str | None]]:
        """Deal a batch into passes.

        Yields:
            What runs them, texts, and the prompt that need not be run with them.
        """
        for executor in dict.fromkeys(item.job.executor for item in batch):
            own = [item for item in batch if item.job.executor is executor]
            for items, prompt in self._by_prompt(executor, own):
                yield executor, items, prompt

    def _by_prompt(self, executor: Executor, batch: list[Item]) -> Iterator[tuple[list[Item], str | None]]:
        """Part texts behind a prompt that is left out where that saves a pass, from all others."""
        groups: dict[str, list[Item]] = {}
        for item in batch:
            shared = executor.prefix_tokens(item.job.prompt)
            groups.setdefault(item.job.prompt if shared and item.prefix_length == shared else "", []).append(item)
        mixed = groups.pop("", [])
        alone = len(groups) == 1 and not mixed
        for prompt, items in groups.items():
            runs = executor.has_prefix(prompt) or prompt in self._known
            saved = executor.prefix_tokens(prompt) * (len(items) - (0 if runs else 1))
            if saved >= PASS_TOKENS or (alone and runs):
                yield items, prompt
            else:
                mixed = mixed + items
        if mixed:
            yield mixed, None

    def _finished(self, job: Job) -> "Future[Embeddings]":
        """Cut and scale the vectors of a request, and answer it."""
        spec, tokenized = job.executor.spec, job.tokenized
        if job.normalize is not None:
            spec = spec.replace(normalize=job.normalize)
        width = job.dims or spec.dims or spec.full_width(job.executor.width)
        vectors = np.empty((0, width), dtype=np.float32)
        if job.texts:
            rows = np.stack([job.rows[number] for number in range(len(job.texts))])
            vectors = cut(torch.from_numpy(rows), spec, job.dims).numpy()
        bad = bad_rows(vectors, job.texts)
        vectors[[text.number for text in bad]] = np.nan
        tokens, truncated = np.asarray(tokenized.lengths, np.int32), np.asarray(tokenized.truncated, np.int8)
        settle(job.future, Embeddings(vectors, tokens, truncated, bad=bad))
        return job.future

    def _drop(self, job: Job) -> None:
        """Take what is left of a failed request off the queue."""
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
                self._waiting_tokens -= job.tokens_left

    def _measure(self, num_tokens: int, seconds: float) -> None:
        speed = num_tokens / max(seconds, 1e-6)
        self._speed = speed if not self._speed else (1 - _SPEED_WEIGHT) * self._speed + _SPEED_WEIGHT * speed
