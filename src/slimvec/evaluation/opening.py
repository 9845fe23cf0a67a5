"""From what a user calls a model to something that can be evaluated."""

from importlib.util import find_spec
from typing import Literal, TypedDict, Unpack

from slimvec.errors import InputError, ModelError
from slimvec.evaluation.endpoint import EndpointModel, is_endpoint
from slimvec.evaluation.models import EvaluatedModel
from slimvec.evaluation.peers import SentenceTransformersModel
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.model.cache import Progress
from slimvec.model.sources import resolve_source

Backend = Literal["auto", "slimvec", "sentence-transformers"]


class PeerSettings(TypedDict, total=False):
    """What may be asked of a model to be evaluated. Absent or None: as the model has it.

    Attributes:
        revision: Revision of a hub name.
        dtype: `auto`, `float32` or `bfloat16`.
        dims: Width of the vectors.
        max_tokens: Longest text in tokens.
        query_prompt: Written in front of queries.
        document_prompt: Written in front of documents.
        progress: Called with what is fetched or converted.
    """

    revision: str | None
    dtype: str
    dims: int | None
    max_tokens: int | None
    query_prompt: str | None
    document_prompt: str | None
    progress: Progress | None


class EvaluatedSettings(PeerSettings, total=False):
    """The same of any model, and what only slimvec's models can be asked for.

    Attributes:
        echo: Read every text twice and pool its second copy; causal models only.
    """

    echo: bool


def check_extra() -> None:
    """Refuse to go on without mteb.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("mteb") is None:
        raise InputError("mteb is not installed", expected="the extra eval", do="pip install 'slimvec[eval]'")


def open_evaluated(
    source: str, *, backend: Backend = "auto", echo: bool = False, **settings: Unpack[PeerSettings]
) -> EvaluatedModel:
    """Open a model to evaluate.

    Args:
        source: A folder, a `.gguf` file, a built-in name, a hub name, or `http://HOST:PORT/v1#MODEL`.
        backend: What runs it. `auto` is slimvec, and sentence-transformers for a model of that library which slimvec
            cannot run: the model's card then says why.
        echo: Read every text twice and pool its second copy; slimvec's causal models only.
        settings: What shall differ from the model's own.

    Raises:
        InputError: an unknown source, an address without a model, or settings that do not fit.
        FetchError: something has to be fetched and cannot be.
        ModelError: the model cannot be used.
    """
    if echo and (is_endpoint(source) or backend == "sentence-transformers"):
        raise InputError(f"echo of {source}", expected="a model that slimvec runs", do="leave --echo out")
    if is_endpoint(source):
        return _open_endpoint(source, backend, settings)
    if backend == "sentence-transformers":
        return SentenceTransformersModel.load(source, **settings)
    try:
        return SlimvecModel.load(source, echo=echo, **settings)
    except ModelError as error:
        folder = resolve_source(source, revision=settings.get("revision"))
        if echo or backend == "slimvec" or not (folder / "modules.json").is_file():
            raise
        return SentenceTransformersModel.load(source, **settings, remark=f"slimvec cannot run it: {error}")


def _open_endpoint(source: str, backend: Backend, settings: PeerSettings) -> EndpointModel:
    if backend != "auto":
        raise InputError(f"{source} is a server, not run by {backend}", expected="--backend auto")
    unfit = [name for name in ("revision", "dtype", "max_tokens") if settings.get(name) not in (None, "auto")]
    if unfit:
        raise InputError(f"{unfit[0]} of a server cannot be chosen", expected="it left out")
    return EndpointModel(
        source,
        query_prompt=settings.get("query_prompt"),
        document_prompt=settings.get("document_prompt"),
        dims=settings.get("dims"),
    )
