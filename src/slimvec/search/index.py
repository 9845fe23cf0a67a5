"""`Index`: a user's documents, cut, embedded and kept up to date, to be searched.

    INDEX/index.json   what it is: model, identity, settings, sources, and the name of its data
    INDEX/data-.../    the LanceDB table
    INDEX/next.json    the same for what `reindex` is building, until it takes the place of index.json
    INDEX/lock         held by whoever writes

`index.json` is replaced as a whole, so that a search sees the old data or the new. Searching needs no lock.
"""

import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from slimvec.errors import InputError, ModelError
from slimvec.files import FileState, folder_size, storage_errors
from slimvec.locks import held
from slimvec.model.identity import ModelIdentity
from slimvec.progress import tell_nobody
from slimvec.search import approximation
from slimvec.search.searching import search
from slimvec.search.settings import SETTINGS_NAME, IndexDescription, IndexSettings, VectorKind
from slimvec.search.store import ChunkTable, IndexDataError, readable
from slimvec.search.updating import Plan, Seen, Updater, UpdateReport, plan_update
from slimvec.search.vectors import VectorColumns, Vectors

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

CHUNK_TOKENS = 256
"""Most tokens of a chunk, where the model's limit leaves room for them: a few paragraphs, one or two thoughts."""
_DATA = "data-"


class Index:
    """An index that is open. Made by `create` or `open`; several threads may search it at once.

    Args:
        folder: Folder of the index.
        description: What it says of itself.
        embedder: The model; None loads it when it is needed.
        file: Name of the file with the description.
    """

    def __init__(
        self,
        folder: Path,
        description: IndexDescription,
        *,
        embedder: "Embedder | None" = None,
        file: str = SETTINGS_NAME,
    ) -> None:
        self.folder = folder
        self.description = description
        self._file = folder / file
        self._state = FileState.of(self._file)
        self._embedder, self._is_given = embedder, embedder is not None
        self._identity: ModelIdentity | None = None
        self._table: ChunkTable | None = None
        self.lock = threading.RLock()
        """Held while several steps need one version of the table."""

    @classmethod
    def create(
        cls,
        folder: str | Path,
        embedder: "Embedder",
        *,
        model: str,
        revision: str | None = None,
        chunk_tokens: int | None = None,
        vectors: VectorKind = "float32",
        late: bool = False,
        field: str | None = None,
    ) -> Self:
        """Make an empty index.

        Args:
            folder: New or empty.
            embedder: The model; its dims are the index's.
            model: Its name or folder, to load it by when the index is opened.
            revision: Revision of a hub name.
            chunk_tokens: Most tokens of a chunk; default 256, or three quarters of a smaller limit of the model's.
            vectors: How they are held, as `IndexSettings` says.
            late: Pool chunks from the states of their whole document.
            field: Field with the text, in tables.

        Raises:
            InputError: the folder is taken, its path has control characters, or chunks are longer than the model takes.
            ModelError: the model compares by distance, or late chunking has no tokens to pool.
            StorageError: it cannot be written.
        """
        folder = Path(folder).absolute()
        if not str(folder).isprintable():
            raise InputError(
                f"an index at {str(folder)!r}", expected="a path without control characters, as LanceDB wants"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists", expected="a new folder for the index, or an index")
        settings = IndexSettings(
            chunk_tokens=chosen_chunk_tokens(embedder, chunk_tokens), vectors=vectors, late=late, field=field
        )
        description = describe(embedder, settings, model=model, revision=revision)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        description.write(folder / SETTINGS_NAME)
        made = cls(folder, description, embedder=embedder)
        made._open_table(create=True)
        return made

    @classmethod
    def open(cls, folder: str | Path, *, embedder: "Embedder | None" = None, name: str = "the model given") -> Self:
        """Open an index.

        Args:
            folder: What `create` made.
            embedder: A model to search with; it must be the one that made the index. Default: that one is loaded by
                its name when it is needed.
            name: What to call the embedder in an error.

        Raises:
            InputError: there is no index.
            ModelError: another model made it.
        """
        folder = Path(folder).absolute()
        description = IndexDescription.read(folder / SETTINGS_NAME)
        if embedder is not None:
            description.check_model(embedder.identity, name, folder)
        return cls(folder, description, embedder=embedder)

    @property
    def table(self) -> ChunkTable:
        """Its chunks, opened when they are first needed.

        Raises:
            IndexDataError: they are missing or damaged.
        """
        with self.lock:
            return self._open_table() if self._table is None else self._table

    @property
    def embedder(self) -> "Embedder":
        """The model that made what is in it now, loaded when it is first needed.

        Raises:
            ModelError: what was given, or is found under its name now, is another model.
            SlimvecError: it cannot be loaded.
        """
        said = self.description
        if self._embedder is not None:
            self._identity = self._identity or self._embedder.identity
            if self._is_given or self._identity.sha256 == said.identity.sha256:
                said.check_model(self._identity, "the model given", self.folder)
                return self._embedder
        from slimvec.engine.embedder import Embedder

        found = Embedder.load(said.model, revision=said.revision, dims=said.identity.spec.dims)
        identity = found.identity
        said.check_model(identity, said.model, self.folder)
        self._embedder, self._identity = found, identity
        return found

    @property
    def columns(self) -> VectorColumns | None:
        """How its vectors are held; None as long as there are none that need a centre."""
        settings, dims = self.description.settings, self.dims
        if settings.vectors == "float32":
            return VectorColumns("float32", dims)
        centre = self.description.centre
        return None if centre is None else VectorColumns(settings.vectors, dims, np.asarray(centre, dtype=np.float32))

    @property
    def dims(self) -> int:
        """Width of its vectors."""
        dims = self.description.identity.spec.dims
        assert dims is not None  # an identity always has a number
        return dims

    @property
    def num_chunks(self) -> int:
        """Chunks in it."""
        with self.lock:
            return len(self.table)

    @property
    def num_bytes(self) -> int:
        """What its data take on disk."""
        return folder_size(self.folder / self.description.data)

    def plan(self, sources: Sequence[str | Path] = (), *, forget: Sequence[str | Path] = ()) -> Plan:
        """Tell what `update` would do; arguments and errors are the same."""
        self.refresh()
        with self.lock, readable(self.folder):
            return plan_update(self.description, self.table, sources, forget, index=self.folder)

    def update(
        self,
        sources: Sequence[str | Path] = (),
        *,
        forget: Sequence[str | Path] = (),
        plan: Plan | None = None,
        approximate: bool | None = None,
        on_progress: Callable[[float], None] | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> UpdateReport:
        """Bring it up to date with its sources: new, changed and removed files.

        Args:
            sources: Files and folders that belong to it from now on, beside those that do already.
            forget: Sources that belong to it no longer.
            plan: What `plan` gave for these; default made now, as it is when the index has changed since.
            approximate: Make an approximate index; default from 50,000 chunks on. False takes it away.
            on_progress: Told how many more bytes of the plan's are done.
            on_step: Told of other work that takes time.

        Raises:
            InputError: a source does not exist or cannot be forgotten, or another process writes the index.
            ModelError: another model made the index.
            IndexDataError: what it holds is damaged.
            StorageError: it cannot be written.
        """
        with self.writing():
            embedder = self.embedder
            now = self.plan(sources, forget=forget) if plan is None or plan.seen != self._seen else plan
            self._describe(self.description.model_copy(update={"sources": now.sources}))
            updater = Updater(
                self.table,
                embedder,
                self.description.settings,
                self.columns,
                centred=self._centre,
                on_progress=on_progress or tell_nobody,
            )
            report = updater.run(now)
            self._approximate(approximate, on_step or tell_nobody)
        return report

    search = search

    def refresh(self) -> None:
        """See what other processes have done to it since.

        Raises:
            IndexDataError: it is gone, or damaged.
        """
        with self.lock, readable(self.folder):
            self._read_description()
            self.table.refresh()

    def chunks_of(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Give the chunks of a file in their order, with the columns of `store.SHOWN`; nothing for an unknown path.

        Raises:
            IndexDataError: it is gone, or damaged.
        """
        self.refresh()
        with self.lock, readable(self.folder):
            yield from list(self.table.rows_of(path))

    @contextmanager
    def writing(self, *, open_table: bool = True) -> Iterator[None]:
        """Hold the index for writing, as it is now; what a killed run left behind and nothing refers to is removed.

        Args:
            open_table: Open its data, and make them if they are missing: they will be written.

        Raises:
            InputError: another process writes it.
            IndexDataError: it is gone, or damaged.
        """
        with (
            readable(self.folder),
            storage_errors(self.folder),
            held(self.folder / "lock", f"writes {self.folder}", "wait for it", keep=True, again=True),
        ):
            with self.lock:
                self._read_description()
                self._sweep()
                if open_table:
                    self._open_table(create=True)
            yield

    @property
    def _seen(self) -> Seen:
        """The version of it that is read."""
        return Seen(self.description.data, self.table.version, self.description.sources)

    def _read_description(self) -> None:
        """Read again what it says of itself, if that has changed."""
        try:
            state = FileState.of(self._file)
            said = self.description if state == self._state else IndexDescription.read(self._file)
        except (OSError, InputError) as error:
            raise IndexDataError(f"{self.folder} is no index any more: {error}") from error
        if said.data != self.description.data:
            self._table = None
        self.description, self._state = said, state

    def _open_table(self, *, create: bool = False) -> ChunkTable:
        said = self.description
        data = self.folder / said.data
        self._table = ChunkTable(data, kind=said.settings.vectors, dims=self.dims, create=create)
        return self._table

    def _describe(self, description: IndexDescription) -> None:
        """Change what it says of itself."""
        if description != self.description:
            description.write(self._file)
            self.description, self._state = description, FileState.of(self._file)

    def _centre(self, vectors: Vectors) -> VectorColumns:
        """Take the mean of the first vectors as the centre, before any of them is written."""
        centre = vectors.mean(axis=0) if len(vectors) else np.zeros(self.dims, dtype=np.float32)
        self._describe(self.description.model_copy(update={"centre": tuple(centre.tolist())}))
        columns = self.columns
        assert columns is not None
        return columns

    def _approximate(self, wanted: bool | None, on_step: Callable[[str], None]) -> None:
        """Make or take away the approximate index."""
        present, columns = self.description.approximation, self.columns
        if columns is None:
            return
        if wanted is False:
            self.table.drop_vector_index(columns.searched)
            found = None
        elif wanted or approximation.is_due(len(self.table), present):
            queries = approximation.own_queries(self.table, self.embedder)
            self._describe(self.description.model_copy(update={"approximation": None}))
            found = approximation.build(self.table, columns, queries, on_progress=on_step) if len(queries) else None
        else:
            return
        self._describe(self.description.model_copy(update={"approximation": found}))

    def _sweep(self) -> None:
        """Remove data that no description names."""
        named = {
            IndexDescription.read(path).data for path in self.folder.glob("*.json") if not path.name.startswith(".")
        }
        for folder in self.folder.glob(f"{_DATA}*"):
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)


def describe(
    embedder: "Embedder", settings: IndexSettings, *, model: str, revision: str | None = None
) -> IndexDescription:
    """Describe an index that is to be made.

    Raises:
        ModelError: the model compares by distance, or late chunking has no tokens to pool.
    """
    spec = embedder.spec
    if spec.similarity not in ("cosine", "dot"):
        raise ModelError(f"{model} compares by {spec.similarity}", expected="cosine or dot")
    if settings.late and spec.pooling.mode == "cls":
        raise ModelError(f"late chunking with cls pooling, as {model} has it", expected="a pooling over tokens")
    path = Path(model).expanduser()
    return IndexDescription(
        model=str(path.absolute()) if path.exists() else model,
        revision=revision,
        identity=embedder.identity,
        settings=settings,
        data=f"{_DATA}{uuid.uuid4().hex[:12]}",
    )


def chosen_chunk_tokens(embedder: "Embedder", asked: int | None) -> int:
    """Choose the length of chunks for a model.

    Args:
        embedder: The model.
        asked: What is wanted; default 256, or three quarters of what a smaller limit leaves beside the prompt.

    Raises:
        InputError: they would be longer than the model takes.
    """
    prompt = embedder.spec.prompts.render("document")
    room = embedder.spec.max_tokens - len(embedder.tokenizer.prompt_ids(prompt))
    if asked is not None and asked > room:
        raise InputError(
            f"chunks of {asked} tokens", expected=f"at most {room}, which the model takes beside its prompt"
        )
    return asked or max(16, min(CHUNK_TOKENS, 3 * room // 4))
