"""Several poolings of the same states: what the states cost is paid once."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from slimvec.engine.bad_texts import VectorsError
from slimvec.engine.runner import Runner
from slimvec.errors import InputError
from slimvec.model.head import check_dims
from slimvec.model.spec import Pooling
from slimvec.progress import tell_nobody
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Prompts, Role

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder


def embed_poolings(
    embedder: "Embedder",
    texts: Sequence[str],
    poolings: Sequence[Pooling],
    *,
    role: Role = "document",
    task: str | None = None,
    dims: int | None = None,
    prompts: Prompts | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[Embeddings]:
    """Embed texts in several poolings; states are computed once, and each vector is as with that pooling alone.

    Args:
        embedder: The model.
        texts: N texts, as for `embed`.
        poolings: P different ones; the model's own is not among them unless it is named.
        role: As for `embed`.
        task: As for `embed`.
        dims: As for `embed`.
        prompts: Default the model's own.
        on_progress: As for `embed`; every text counts once.

    Returns:
        By pooling, what `embed` gives for a model loaded with it.

    Raises:
        InputError: as for `embed`; no poolings, or one of them twice.
        VectorsError: as for `embed`, with the vectors of one pooling.
    """
    if not poolings or len(set(poolings)) < len(poolings):
        raise InputError(f"poolings {[pooling.mode for pooling in poolings]}", expected="different ones")
    executor = embedder.for_role(role).executor
    spec = executor.spec
    check_dims(dims, spec.full_width(executor.width))
    if spec.echo:
        poolings = [pooling.of_text_alone() for pooling in poolings]
    blocks = list(
        Runner(executor).stream_poolings(
            texts,
            tuple(poolings),
            prompt=(prompts or spec.prompts).render(role, task),
            dims=dims,
            on_progress=on_progress or tell_nobody,
        )
    )
    by_pooling = [[block[number] for block in blocks] for number in range(len(poolings))]
    joined = [Embeddings.joined(found, dims or embedder.dims) for found in by_pooling]
    for embeddings in joined:
        if embeddings.bad:
            raise VectorsError(embeddings)
    return joined
