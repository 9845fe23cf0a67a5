"""The corpus of the quickstart, collected once for the packages that are installed, and kept in the cache."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import slimvec
from slimvec.data.pydocs import DocCorpus, build_doc_corpus
from slimvec.data.python_sources import find_packages, installed_roots
from slimvec.data.retrieval_files import write_retrieval_set
from slimvec.data.writers import write_rows
from slimvec.files import atomic_folder
from slimvec.model.cache import cache_root


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


def stored_corpus(roots: Sequence[Path] | None, *, num_heldout: int) -> StoredCorpus | None:
    """Give the corpus of the installed packages, if it is in the cache and they are the same as then.

    Args:
        roots: Folders of packages; default those Python imports from.
        num_heldout: Documents held out.
    """
    folder = _folder(roots, num_heldout)
    return _read(folder) if folder.is_dir() else None


def store_corpus(
    roots: Sequence[Path] | None,
    *,
    num_heldout: int,
    num_processes: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> StoredCorpus:
    """Collect the corpus of the installed packages, and keep it in the cache.

    Args:
        roots: Folders of packages; default those Python imports from.
        num_heldout: Documents held out.
        num_processes: That read at once.
        on_progress: Called with the files read, and how many there are.

    Raises:
        InputError: there is too little documentation.
        StorageError: the cache cannot be written.
    """
    folder = _folder(roots, num_heldout)
    corpus = build_doc_corpus(roots, num_heldout=num_heldout, num_processes=num_processes, on_progress=on_progress)
    with atomic_folder(folder, force=True) as building:  # by force: another process may have been faster
        _write(corpus, building)
    return _read(folder)


def _folder(roots: Sequence[Path] | None, num_heldout: int) -> Path:
    return cache_root() / "corpora" / _fingerprint(roots, num_heldout)


def _read(folder: Path) -> StoredCorpus:
    return StoredCorpus(folder, **json.loads((folder / "corpus.json").read_bytes()))


def _fingerprint(roots: Sequence[Path] | None, num_heldout: int) -> str:
    """Tell one state of the installed packages from another, by names, sizes and times of all files."""
    digest = hashlib.sha256(f"{slimvec.__version__} {num_heldout}\n".encode())
    own = sorted((Path(slimvec.__file__).parent / "data").glob("*.py"))
    packages = find_packages(installed_roots() if roots is None else roots)
    for path in [*own, *(path for files in packages.values() for path in files)]:
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def _write(corpus: DocCorpus, folder: Path) -> None:
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
