"""The corpus of the quickstart, collected once for the packages that are installed, and kept in the cache."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slimvec
from slimvec.cli.terminal import Terminal
from slimvec.data.writers import write_rows

if TYPE_CHECKING:
    from slimvec.data.pydocs import DocCorpus
    from slimvec.data.retrieval import RetrievalSet


@dataclass(frozen=True, slots=True)
class StoredCorpus:
    """A corpus on disk.

    Attributes:
        folder: Where it is: `train.jsonl`, and `heldout` as a retrieval set.
        num_train: Pairs to train on.
        num_train_packages: Packages they are from.
        num_heldout_packages: Packages the documents held out are from.
    """

    folder: Path
    num_train: int
    num_train_packages: int
    num_heldout_packages: int

    @property
    def train(self) -> Path:
        """The pairs to train on."""
        return self.folder / "train.jsonl"

    @property
    def heldout(self) -> Path:
        """The folder of the retrieval set."""
        return self.folder / "heldout"


def stored_corpus(
    terminal: Terminal,
    roots: Sequence[Path] | None,
    *,
    num_heldout: int,
    num_processes: int,
    expected: float | None = None,
) -> StoredCorpus:
    """Give the corpus of the installed packages, from the cache if they are the same as then.

    Args:
        terminal: Shows progress.
        roots: Folders of packages; default those Python imports from.
        num_heldout: Documents held out.
        num_processes: That read at once.
        expected: Seconds it is expected to take; default unknown.

    Raises:
        InputError: there is too little documentation.
        StorageError: the cache cannot be written.
    """
    from slimvec.data.pydocs import build_doc_corpus
    from slimvec.files import atomic_folder
    from slimvec.model.cache import cache_root

    folder = cache_root() / "corpora" / _fingerprint(roots, num_heldout)
    if not folder.is_dir():
        with terminal.task(
            "reading the documentation of the installed packages", unit="files", expected=expected
        ) as task:
            corpus = build_doc_corpus(
                roots,
                num_heldout=num_heldout,
                num_processes=num_processes,
                on_progress=lambda done, total: task.update(completed=done, total=total),
            )
        with atomic_folder(folder, force=True) as building:  # by force: another process may have been faster
            _write(corpus, building)
    return StoredCorpus(folder, **json.loads((folder / "corpus.json").read_bytes()))


def write_retrieval_set(dataset: "RetrievalSet", folder: Path) -> None:
    """Write a retrieval set as `read_retrieval_set` reads it.

    Args:
        dataset: The set.
        folder: Exists, and is filled.
    """
    write_rows(folder / "corpus.jsonl", map(_row, dataset.documents))
    write_rows(folder / "queries.jsonl", map(_row, dataset.queries))
    judgements = [
        {"query_id": query, "doc_id": document, "score": grade}
        for query, grades in dataset.qrels.items()
        for document, grade in grades.items()
    ]
    write_rows(folder / "qrels.jsonl", judgements)


def _fingerprint(roots: Sequence[Path] | None, num_heldout: int) -> str:
    """Tell one state of the installed packages from another, by names, sizes and times of all files."""
    from slimvec.data.python_sources import find_packages, installed_roots

    digest = hashlib.sha256(f"{slimvec.__version__} {num_heldout}\n".encode())
    own = sorted((Path(slimvec.__file__).parent / "data").glob("*.py"))
    packages = find_packages(installed_roots() if roots is None else roots)
    for path in [*own, *(path for files in packages.values() for path in files)]:
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def _write(corpus: "DocCorpus", folder: Path) -> None:
    records = [{"query": record.query, "positive": record.positives[0]} for record in corpus.train]
    write_rows(folder / "train.jsonl", records)
    (folder / "heldout").mkdir()
    write_retrieval_set(corpus.heldout, folder / "heldout")
    about = {
        "num_train": len(corpus.train),
        "num_train_packages": len(corpus.train_packages),
        "num_heldout_packages": len(corpus.heldout_packages),
    }
    (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")


def _row(item: Any) -> dict[str, Any]:
    """Give the fields of a document or query that say something, under their names in files."""
    values = {"lang" if name == "language" else name: value for name, value in asdict(item).items()}
    return {name: value for name, value in values.items() if value not in (None, "")}
