"""What an index says about itself: how it was made, and by which model. `index.json` in its folder."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from slimvec.errors import InputError, ModelError
from slimvec.files import write_text
from slimvec.frozen import Frozen, checked
from slimvec.model.identity import ModelIdentity

FORMAT = 1
SETTINGS_NAME = "index.json"
VectorKind = Literal["float32", "int8", "binary"]


class Approximation(Frozen):
    """The approximate index over the vectors, and what it was measured to find.

    Attributes:
        num_partitions: Cells that the vectors are divided into.
        num_probes: Cells that a search looks into.
        recall: Share of the ten nearest chunks that such a search finds, over `num_queries` sentences of the user's
            own documents.
        num_queries: How many.
        num_chunks: Chunks in the index when it was measured.
    """

    num_partitions: int
    num_probes: int
    recall: float
    num_queries: int
    num_chunks: int


class IndexSettings(Frozen):
    """How an index is made; decided once, when it is created.

    Attributes:
        chunk_tokens: Most tokens of a chunk.
        vectors: How vectors are held. `float32`: 4 bytes a dim. `int8`: a byte a dim to score with, and a bit a dim to
            find candidates with. `binary`: that bit, and a second one to score with.
        late: Pool each chunk from the states of its whole document (late chunking, arXiv 2409.04701).
        field: Field with the text in tables; None for the usual names.
    """

    chunk_tokens: int = Field(default=256, ge=16)
    vectors: VectorKind = "float32"
    late: bool = False
    field: str | None = None


class IndexDescription(Frozen):
    """The contents of `index.json`.

    Attributes:
        format: Version of this file and of the table beside it.
        model: The model's name or folder, as it was given.
        revision: Revision of a hub name.
        identity: What tells the model from every other.
        settings: How the index is made.
        sources: Files and folders that belong to it, absolute.
        data: Name of the folder with the table.
        centre: Mean of the first vectors, which bits are taken around; None for float32 vectors.
        approximation: The approximate index; None while search is exact.
    """

    format: int = FORMAT
    model: str
    revision: str | None = None
    identity: ModelIdentity
    settings: IndexSettings = IndexSettings()
    sources: tuple[str, ...] = ()
    data: str
    centre: tuple[float, ...] | None = None
    approximation: Approximation | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            InputError: it is not there, or not of this version.
        """
        if not path.is_file():
            raise InputError(
                f"{path.parent} is not an index", expected="a folder that `slimvec index` made", do="make one"
            )
        with checked(f"{path}: ", expected=f"an index of version {FORMAT}", do="make it again"):
            return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: it cannot be written.
        """
        write_text(path, self.model_dump_json(indent=1) + "\n", force=True)

    def check_model(self, identity: ModelIdentity, name: str, index: Path) -> None:
        """Refuse another model than the one that made the index.

        Raises:
            ModelError: it is another.
        """
        if identity.sha256 != self.identity.sha256:
            differences = "; ".join(self.identity.differences(identity))
            raise ModelError(
                f"{name} is not the model that made {index} (its {differences})",
                expected=f"{self.model} as it was then",
                do=f"search with that one, or change it with `slimvec reindex {index} --model M`",
            )
