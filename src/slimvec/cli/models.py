"""Loading a model for a command, with progress, and naming it in results."""

from typing import TYPE_CHECKING, Any

from slimvec.cli.options import DEFAULT_MODEL, PLAINLY, Dtype, Loading
from slimvec.cli.terminal import Terminal

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.engine.language_model import LanguageModel


def model_or_default(terminal: Terminal, model: str | None) -> str:
    """Give the model asked for, or the default one, and say so."""
    if model is None:
        terminal.remark(f"model: {DEFAULT_MODEL}, the default; --model takes another")
        return DEFAULT_MODEL
    return model


def load_embedder(
    terminal: Terminal,
    source: str,
    loading: Loading = PLAINLY,
    *,
    echo: bool = False,
    expected: float | None = None,
) -> "Embedder":
    """Load a model, telling what is fetched and converted.

    Args:
        terminal: Shows progress.
        source: As for `Embedder.load`, whose errors these are.
        loading: Width, dtype and revision.
        echo: Whether every text is read twice.
        expected: Seconds it is expected to take; default unknown.
    """
    with terminal.task(f"loading {source}", expected=expected) as task:
        from slimvec.engine.embedder import Embedder

        embedder = Embedder.load(
            source,
            revision=loading.revision,
            dtype=loading.dtype,
            dims=loading.dims,
            echo=echo,
            progress=task.share,
        )
    if embedder.slowness:
        terminal.remark(f"{source}: {embedder.slowness}")
    return embedder


def other_language_model(terminal: Terminal, source: str | None, *, dtype: Dtype) -> "LanguageModel | None":
    """Load the language model of another model than the one that embeds; None where none is asked for."""
    return None if source is None else load_embedder(terminal, source, Loading(dtype=dtype)).language_model


def describe_model(embedder: "Embedder", source: str, *, revision: str | None = None) -> dict[str, Any]:
    """Say which model makes a result: its name, a hash over its weights, and how it reads texts.

    Returns:
        `source`, `revision`, `identity` (of all that decides a vector), `sha256` (of weights and tokenizer), `dims`,
        `dtype`, `engine` and `spec`.
    """
    identity = embedder.identity
    return {
        "source": source,
        "revision": revision,
        "identity": identity.sha256,
        "sha256": identity.weights,
        "dims": embedder.dims,
        "dtype": embedder.dtype,
        "engine": embedder.engine,
        "spec": embedder.spec.model_dump(mode="json"),
    }
