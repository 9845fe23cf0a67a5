"""Several poolings and prompts of one model, scored on states that are computed once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slimvec.engine.embedder import Embedder, Embeddings
from slimvec.model.spec import Pooling
from slimvec.text.prompts import Prompts, Role


@dataclass(eq=False)
class SharedStates:
    """Embeds texts in all poolings at once and keeps the vectors until they are dropped.

    Attributes:
        embedder: The model.
        poolings: Different ones.
    """

    embedder: Embedder
    poolings: Sequence[Pooling]
    _kept: dict[tuple[Role, str, tuple[str, ...]], list[Embeddings]] = field(default_factory=dict, init=False)

    def read(self, pooling: Pooling, prompts: Prompts) -> "PooledReader":
        """Give the model as it is with one of the poolings, and with prompts of its own."""
        return PooledReader(self, self.poolings.index(pooling), prompts)

    def embed(
        self,
        texts: Sequence[str],
        prompts: Prompts,
        role: Role,
        task: str | None,
        on_progress: Callable[[int], None] | None,
    ) -> list[Embeddings]:
        """Embed texts in every pooling; a second time, with the same prompt, they are there.

        Errors as for `Embedder.embed`.
        """
        key = role, prompts.render(role, task), tuple(texts)
        if key not in self._kept:
            self._kept[key] = self.embedder.embed_poolings(
                texts, self.poolings, role=role, task=task, prompts=prompts, on_progress=on_progress
            )
        elif on_progress is not None:
            on_progress(len(texts))
        return self._kept[key]

    def drop(self) -> None:
        """Forget the vectors, once all that needs them is done."""
        self._kept.clear()


@dataclass(frozen=True, eq=False)
class PooledReader:
    """A model with one of several poolings, and its prompts; an embedder of texts.

    Attributes:
        states: Shared with those of the other poolings and prompts.
        number: Number of the pooling.
        prompts: What it writes before texts.
    """

    states: SharedStates
    number: int
    prompts: Prompts

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens."""
        return self.states.embedder.spec.max_tokens

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed texts. Errors as for `Embedder.embed`."""
        return self.states.embed(texts, self.prompts, role, task, on_progress)[self.number]
