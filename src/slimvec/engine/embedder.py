"""`Embedder`: what users hold. Texts in, vectors out; load, save and compare."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack, get_args

import torch

from slimvec.engine.append import open_text
from slimvec.engine.arguments import check_choice, check_texts, chosen_device
from slimvec.engine.bad_texts import OnBad, VectorsError, refusing
from slimvec.engine.chunks import embed_chunks
from slimvec.engine.coverage import check_coverage, coverage
from slimvec.engine.executor import Executor
from slimvec.engine.explanation import explain
from slimvec.engine.loading import EngineName, LoadedEngine, load_engines
from slimvec.engine.long_texts import embed_long
from slimvec.engine.poolings import embed_poolings
from slimvec.engine.prefixes import prefixes
from slimvec.engine.reranking import rerank
from slimvec.engine.runner import Runner
from slimvec.engine.similarity import compare
from slimvec.engine.state_files import load_state
from slimvec.errors import ModelError
from slimvec.model.golden import worst_cosine
from slimvec.model.head import Head, check_dims
from slimvec.model.identity import ModelIdentity
from slimvec.model.opening import OpenedModel, OpenSettings, open_model
from slimvec.model.protocols import Backbone
from slimvec.model.spec import ModelSpec
from slimvec.progress import tell_nobody
from slimvec.text.embeddings import BadText, Embeddings, Vectors
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from slimvec.engine.language_model import LanguageModel
    from slimvec.model.embedding_model import EmbeddingModel

__all__ = ["BadText", "Embedder", "Embeddings", "Vectors", "VectorsError"]

_DTYPES = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


class Embedder:
    """A text-embedding model ready for work. Made by `load`, or by `from_model` around a model in training.

    Args:
        engine: Runs the backbone.
        tokenizer: The model's.
        spec: The model's settings.
        head: The layers behind its pooling.
        width: Width of the backbone's states.
        token_budget: Most tokens in a batch; default measured once a machine for large inputs, 4,096 for small ones.

    Attributes:
        backbone: Packed batch to states.
        tokenizer: The model's.
        spec: The model's settings.
        head: The layers behind its pooling.
        executor: Runs its batches, one thread at a time.
    """

    def __init__(
        self,
        engine: LoadedEngine,
        tokenizer: Tokenizer,
        spec: ModelSpec,
        head: Head,
        *,
        width: int,
        token_budget: int | None = None,
    ) -> None:
        self.backbone: Backbone = engine.backbone
        self.tokenizer = tokenizer
        self.spec = spec
        self.head = head
        self._engine, self._width = engine, spec.full_width(width)
        self.executor = Executor(engine, tokenizer, head, spec, width=width, token_budget=token_budget)
        self._runner = Runner(self.executor)
        self._opened: OpenedModel | None = None
        self._model: EmbeddingModel | None = None
        self._queries: Self | None = None

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        dtype: str = "auto",
        device: str | None = None,
        engine: EngineName = "auto",
        compile: bool = False,  # noqa: A002  as torch's own modules call it
        token_budget: int | None = None,
        **settings: Unpack[OpenSettings],
    ) -> Self:
        """Load a model.

        Args:
            source: A folder (slimvec's, sentence-transformers' or a plain language model's), a `.gguf` file, a
                built-in name (`slimvec-en`, `slimvec-en-small`, `slimvec-multi`, `slimvec-kalm`, `smollm2-135m`,
                `gemma3-270m`, `qwen2.5-0.5b`, `embeddinggemma-300m`, `minilm-l6`) or a hub name.
            dtype: `auto`, `float32`, `bfloat16` or `int8`. Auto keeps 16-bit weights in bfloat16 where the machine
                computes in it, and float32 otherwise; asked for elsewhere, bfloat16 is slow, and `slowness` says how
                slow. int8 multiplies weights of 8 bits where the kernels can (`slimvec doctor` says so): 1.3 to 1.5
                times as fast as what `auto` takes, and vectors move a little. Loading takes a second or two longer and
                refuses a model whose vectors move further than a cosine of .999.
            device: Default CUDA where there is one, else the CPU.
            engine: `auto` takes the fused decoder where it serves the model, `fused` insists on it, `transformers`
                avoids it. What was taken, and why, is in `engine` and `engine_reason`.
            compile: Put the transformers path under `torch.compile`. Compiling takes ten seconds to a minute, all of it
                here and none later; `warmup_seconds` says how long. Worth it on a GPU, for long runs.
            token_budget: Most tokens in a batch; default measured.
            settings: What shall differ from the model's own: revision, attention, pooling, prompts, dims, max_tokens,
                rope (stretched positions), recency (calibrated attention), echo (texts read twice, the second copy
                pooled), num_layers (the first layers alone); and `progress`, called with what is fetched or converted.

        Raises:
            InputError: an unknown source or dtype, int8 where it is not to be had, `compile` for a model that the fused
                decoder runs, dims larger than the model's.
            FetchError: something has to be fetched and cannot be.
            ModelError: the folder cannot be used, does not attend as it says, or does not bear int8.
        """
        check_choice("dtype", dtype, _DTYPES)
        opened = open_model(source, **settings)
        return cls.from_opened(
            opened, dtype=dtype, device=device, engine=engine, compile=compile, token_budget=token_budget
        )

    @classmethod
    def from_opened(
        cls,
        opened: OpenedModel,
        *,
        dtype: str = "auto",
        device: str | None = None,
        engine: EngineName = "auto",
        compile: bool = False,  # noqa: A002  as in `load`
        token_budget: int | None = None,
    ) -> Self:
        """Load a model that has been opened; arguments and errors as for `load`."""
        check_choice("dtype", dtype, _DTYPES)
        check_choice("engine", engine, get_args(EngineName))
        routes = [opened] if opened.queries is None else [opened, opened.queries]
        tokenizers = [route.tokenizer() for route in routes]
        target = chosen_device(device)
        engines = load_engines(opened, dtype=_DTYPES[dtype], device=target, engine=engine, compiled=compile)
        parts = zip(routes, engines, tokenizers, strict=True)
        embedders = [cls.from_engine(*part, token_budget=token_budget) for part in parts]
        for queries in embedders[1:]:
            embedders[0]._queries = queries
            queries.executor.lock = embedders[0].executor.lock  # they may share a backbone
        return embedders[0]

    @classmethod
    def from_engine(
        cls, opened: OpenedModel, engine: LoadedEngine, tokenizer: Tokenizer, *, token_budget: int | None = None
    ) -> Self:
        """Put a model around an engine that runs its backbone, whoever made that; queries have no route of their own.

        Args:
            opened: The model.
            engine: Runs it.
            tokenizer: The model's.
            token_budget: As for `load`.
        """
        head, width = opened.head().to(engine.device), int(opened.config["hidden_size"])
        embedder = cls(engine, tokenizer, opened.spec, head, width=width, token_budget=token_budget)
        embedder._opened = opened
        return embedder

    def __repr__(self) -> str:
        """Say what it is, in a line."""
        return f"Embedder(dims={self.dims}, dtype={self.dtype!r}, engine={self.engine!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied, in plain words."""
        raise TypeError("an Embedder cannot be pickled or copied; load the model in each process, or before a fork")

    def for_role(self, role: Role) -> Self:
        """Give what texts in a role run through: itself, but for queries of a model with a route of their own."""
        return self._queries if role == "query" and self._queries is not None else self

    @classmethod
    def from_model(cls, model: "EmbeddingModel", *, token_budget: int | None = None) -> Self:
        """Embed with a model in memory as it is now and as it changes: it is not copied."""
        backbone = model.backbone
        dtype = next(backbone.parameters()).dtype
        engine = LoadedEngine(backbone, f"transformers/{backbone.kernel}", "a model in memory", backbone.device, dtype)
        head, width = model.head, backbone.dims
        embedder = cls(engine, model.tokenizer, model.spec, head, width=width, token_budget=token_budget)
        embedder._model = model
        return embedder

    @property
    def dims(self) -> int:
        """Width of the vectors."""
        return self.spec.dims or self._width

    @property
    def dtype(self) -> str:
        """Dtype of the weights in memory; `int8` when the larger half of them is."""
        return str(self._engine.dtype).removeprefix("torch.")

    @property
    def engine(self) -> str:
        """What runs the model: `fused/native`, `fused/torch`, or `transformers/` and its attention kernel."""
        own, queries = self._engine.name, self.for_role("query")._engine.name
        return own if own == queries else f"{own}, queries {queries}"

    @property
    def engine_reason(self) -> str:
        """Why nothing faster runs it; empty when this is the fastest there is."""
        return "; ".join(part for part in (self._engine.reason, self._engine.slowness) if part)

    @property
    def slowness(self) -> str:
        """By what factor the dtype that was asked for is slow on this machine; empty where it is not."""
        return self._engine.slowness

    @property
    def engine_isa(self) -> str:
        """Instruction set of slimvec's kernels that runs it, as `SLIMVEC_ISA` names it; empty when none does."""
        return self._engine.isa

    @property
    def warmup_seconds(self) -> float:
        """What compiling took when the model was loaded with `compile`, first runs included; 0 otherwise."""
        return self._engine.warmup_seconds

    @property
    def identity(self) -> ModelIdentity:
        """What tells it from every other model; its files are hashed once.

        Raises:
            ModelError: it was made from a model in memory, which may change at any time.
        """
        if self._opened is None:
            raise ModelError("a model in memory has no identity", expected="a model in a folder", do="save it first")
        return ModelIdentity.of(self._opened, dtype=self.dtype)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        task: str | None = None,
        dims: int | None = None,
        on_bad: OnBad = "refuse",
        on_progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed texts in a role.

        Args:
            texts: N texts. None may be empty.
            role: `query` or `document`; it decides the prompt.
            task: A task the model knows, or a whole instruction; default the model's default task.
            dims: Width of the vectors, when fewer than the model's.
            on_bad: What is done about a text that has no vector, because it has no tokens or its numbers are NaN,
                infinite or all 0. `refuse` raises; `mark` gives it a row of NaN and names it in `bad`.
            on_progress: Called with how many more texts are done.

        Raises:
            InputError: an empty text, one without tokens, an unknown role or task, dims larger than the model's.
            VectorsError: a vector that is NaN or infinite; the error has those of the other texts.
        """
        found = Embeddings.joined(list(self._stream(texts, role, task, dims, on_bad, on_progress)), dims or self.dims)
        if found.bad and on_bad == "refuse":
            raise VectorsError(found)
        return found

    def embed_stream(
        self,
        texts: Iterable[str],
        *,
        role: Role = "document",
        task: str | None = None,
        dims: int | None = None,
        on_bad: OnBad = "refuse",
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[Embeddings]:
        """Embed texts as they come, in memory that does not grow: a generator of ten million texts streams through.

        Args:
            texts: Any number of texts.
            role: As for `embed`.
            task: As for `embed`.
            dims: As for `embed`.
            on_bad: As for `embed`.
            on_progress: As for `embed`.

        Yields:
            Vectors of the next block of texts, in order; together they are those of all texts.

        Raises:
            InputError: as for `embed`.
            VectorsError: as for `embed`, with the vectors of its block.
        """
        blocks = self._stream(texts, role, task, dims, on_bad, on_progress)
        return blocks if on_bad == "mark" else refusing(blocks)

    def _stream(
        self,
        texts: Iterable[str],
        role: Role,
        task: str | None,
        dims: int | None,
        on_bad: OnBad,
        on_progress: Callable[[int], None] | None,
    ) -> Iterator[Embeddings]:
        check_texts(texts)
        check_choice("on_bad", on_bad, get_args(OnBad))
        check_dims(dims, self._width)
        prompt, told = self.spec.prompts.render(role, task), on_progress or tell_nobody
        runner = self.for_role(role)._runner
        return runner.stream(texts, prompt=prompt, dims=dims, on_progress=told, mark=on_bad == "mark")

    def embed_queries(self, texts: Sequence[str], *, task: str | None = None, dims: int | None = None) -> Vectors:
        """Embed queries: [N, D]. As `embed` with role `query`."""
        return self.embed(texts, role="query", task=task, dims=dims).vectors

    def embed_documents(self, texts: Sequence[str], *, task: str | None = None, dims: int | None = None) -> Vectors:
        """Embed documents: [N, D]. As `embed` with role `document`."""
        return self.embed(texts, role="document", task=task, dims=dims).vectors

    # What one pass over a text can give besides its vector; each function stands in a file of its own.
    prefixes = prefixes
    embed_chunks = embed_chunks
    embed_long = embed_long
    open = open_text
    load_state = load_state
    explain = explain
    embed_poolings = embed_poolings

    rerank = rerank

    @cached_property
    def language_model(self) -> "LanguageModel":
        """The language model it was trained from, for likelihoods and text; loaded when it is first asked for.

        Errors are those of `load_language_model`.
        """
        from slimvec.engine.language_model import load_language_model as load

        return load(self._opened, self._engine, self.executor.lock)

    # What its tokenizer can read; no model is run.
    coverage = coverage
    check_coverage = check_coverage

    def similarity(self, queries: Vectors, documents: Vectors) -> Vectors:
        """Compare every query [Q, D] with every document [N, D] as the model has it, mostly by cosine: [Q, N]."""
        return compare(queries, documents, self.spec.similarity)

    def save(
        self,
        folder: str | Path,
        *,
        merged: bool = True,
        language_model: bool = False,
        training: dict[str, Any] | None = None,
        force: bool = False,
    ) -> None:
        """Write the model as a folder that slimvec, sentence-transformers, TEI and vLLM read.

        Args:
            folder: Must not exist, or `force`.
            merged: Whole weights; else the adapter alone, which needs its base to be at hand when it is loaded.
            language_model: Keep the language-model head of a plain language model with it. A model that has been
                saved with one keeps it.
            training: Recipe and data of the training, for `slimvec.json`.
            force: Replace what is there.

        Raises:
            InputError: the folder exists.
            ModelError: an adapter alone is asked for and there is none; a language model is, and the weights are not
                those of one.
            StorageError: it cannot be written.
        """
        from slimvec.model.resaving import SaveSettings, save_opened, save_with_head

        asked: SaveSettings = {"merged": merged, "language_model": language_model, "training": training, "force": force}
        if self._model is not None:
            save_with_head(self._model, self._opened, Path(folder), **asked)
            return
        assert self._opened is not None
        dtype = None if self._engine.dtype == torch.int8 else self._engine.dtype  # int8 runs a model, keeps none
        save_opened(self._opened, Path(folder), dtype=dtype, **asked)

    def verify(self, folder: str | Path) -> float:
        """Embed a folder's golden texts and give the lowest cosine with the vectors stored there.

        Raises:
            ModelError: the folder has no golden vectors.
        """
        return worst_cosine(Path(folder), lambda texts, role: self.embed(texts, role=role).vectors)
