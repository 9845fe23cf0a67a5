"""A corpus every machine has: the documentation in the Python packages installed on it.

A query is the summary sentence of a docstring, its document the qualified name, the signature and the rest. Whole
packages are held out for scoring. A hash of the package's name alone decides which, so that no other package has a say
in it. No text of theirs, nor one that nearly repeats it, is trained on.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from slimvec.data.duplicates import near_duplicates, text_words
from slimvec.data.python_sources import DocEntry, find_packages, installed_roots, read_entries
from slimvec.data.records import Record
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.errors import InputError

SOURCE = "python-docs"
NUM_HELDOUT = 1000
"""Documents to search among; always the same number, so that scores of different machines compare."""
MAX_HELDOUT_SHARE = 0.15
"""Most of them from one package."""
_HELDOUT_SHARE = 0.3
_SALT = "slimvec-27"
"""Chosen once, by counting documents only: with it the largest packages that come with slimvec (transformers, torch,
sympy) are trained on, and the standard library and slimvec's dependencies hold a third more documents than needed."""
_OPENING_WORDS = 5
_MAX_SAME_OPENING = 8
_FILES_AT_ONCE = 64

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class DocCorpus:
    """Pairs to train on and a retrieval set to score on.

    Attributes:
        train: One record for each documented function or class of the packages not held out.
        heldout: As many documents as queries, one relevant to each.
        train_packages: Records by package.
        heldout_packages: Documents by package.
        num_dropped: Entries left out because they repeat another's text, or start as too many others do.
    """

    train: list[Record]
    heldout: RetrievalSet
    train_packages: Mapping[str, int]
    heldout_packages: Mapping[str, int]
    num_dropped: int

    @property
    def content_hash(self) -> str:
        """SHA-256 over all texts; equal corpora have equal hashes on every machine."""
        digest = sha256(self.heldout.content_hash.encode())
        for record in self.train:
            digest.update("\0".join([record.query, *record.positives, ""]).encode())
        return digest.hexdigest()


def build_doc_corpus(
    roots: Sequence[Path] | None = None,
    *,
    num_heldout: int = NUM_HELDOUT,
    num_processes: int = 1,
    on_progress: Progress | None = None,
) -> DocCorpus:
    """Collect the documentation of the installed packages.

    The standard library, torch and transformers take about 30 seconds of processor time, most of it in the parser.

    Args:
        roots: Folders of packages; default those the running Python imports from.
        num_heldout: Documents held out for scoring.
        num_processes: More than one reads in as many processes, started afresh; a script that asks for them guards
            its main part with `if __name__ == "__main__"`, as always with multiprocessing.
        on_progress: Called with how many source files are read, and of how many.

    Raises:
        InputError: the packages do not hold enough documentation to hold out, or none is left to train on.
    """
    packages = find_packages(installed_roots() if roots is None else roots)
    entries = list(_read_all(packages, num_processes, on_progress))
    heldout = [entry for entry in _scored_first(entries) if is_held_out(entry.package)]
    kept = _without_repeats([*heldout, *(entry for entry in entries if not is_held_out(entry.package))])
    scored = _choose_heldout([entry for entry in kept if is_held_out(entry.package)], num_heldout)
    trained = [entry for entry in kept if not is_held_out(entry.package)]
    if not trained:
        raise InputError("no installed package to train on has documentation", expected="the standard library at least")
    return DocCorpus(
        train=[Record(entry.query, (entry.document,), language="en", source=SOURCE) for entry in trained],
        heldout=_retrieval_set(scored),
        train_packages=Counter(entry.package for entry in trained),
        heldout_packages=Counter(entry.package for entry in scored),
        num_dropped=len(entries) - len(kept),
    )


def is_held_out(package: str) -> bool:
    """Whether a package is held out for scoring; depends on nothing but its name."""
    return _hash(package) < _HELDOUT_SHARE * 2**64


def _hash(name: str) -> int:
    return int.from_bytes(sha256(f"{_SALT}:{name}".encode()).digest()[:8])


def _scored_first(entries: Iterable[DocEntry]) -> list[DocEntry]:
    """Entries in the order in which they are chosen for scoring: mixed by a hash of their names."""
    return sorted(entries, key=lambda entry: (_hash(entry.name), entry.name))


def _read_all(
    packages: Mapping[str, Sequence[Path]], num_processes: int, on_progress: Progress | None
) -> Iterator[DocEntry]:
    """Entries of all packages, in the order of packages and files whatever the number of processes."""
    names = [name for name, files in packages.items() for _ in files]
    files = [file for files in packages.values() for file in files]
    if num_processes == 1:
        yield from _count(map(read_entries, names, files), len(files), on_progress)
        return
    # Ctrl-C in a terminal reaches the workers too; it is for their parent to end them.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(num_processes, get_context("spawn"), signal.signal, ignore) as pool:
        results = pool.map(read_entries, names, files, chunksize=_FILES_AT_ONCE)
        yield from _count(results, len(files), on_progress)


def _count(results: Iterable[list[DocEntry]], num_files: int, on_progress: Progress | None) -> Iterator[DocEntry]:
    for number, entries in enumerate(results, start=1):
        yield from entries
        if on_progress is not None and (number % _FILES_AT_ONCE == 0 or number == num_files):
            on_progress(number, num_files)


def _without_repeats(entries: Sequence[DocEntry]) -> list[DocEntry]:
    """Keep the first of those that have the same query, or nearly the same body; and few with the same opening words.

    The opening is that of the query: "Return a string representation of" and the like describe no text in particular.
    """
    queries: set[str] = set()
    openings: dict[tuple[bool, str], int] = defaultdict(int)
    kept: list[DocEntry] = []
    for entry in entries:
        words = text_words(entry.query)
        opening = is_held_out(entry.package), " ".join(words[:_OPENING_WORDS])
        if " ".join(words) in queries or openings[opening] >= _MAX_SAME_OPENING:
            continue
        queries.add(" ".join(words))
        openings[opening] += 1
        kept.append(entry)
    repeats = near_duplicates([entry.document.split("\n", 1)[1] for entry in kept])  # without the line of the name
    return [entry for number, entry in enumerate(kept) if number not in repeats]


def _choose_heldout(entries: Sequence[DocEntry], num_heldout: int) -> list[DocEntry]:
    """The first entries, with a limit for each package.

    Raises:
        InputError: there are not enough.
    """
    limit = max(1, int(MAX_HELDOUT_SHARE * num_heldout))
    taken: Counter[str] = Counter()
    chosen: list[DocEntry] = []
    for entry in entries:
        if len(chosen) < num_heldout and taken[entry.package] < limit:
            taken[entry.package] += 1
            chosen.append(entry)
    if len(chosen) < num_heldout:
        raise InputError(
            f"the installed packages that are held out for scoring have {len(chosen)} documents of use",
            expected=f"{num_heldout}, at most {limit} from each of them",
            do="install more packages, or ask for fewer documents",
        )
    return chosen


def _retrieval_set(entries: Sequence[DocEntry]) -> RetrievalSet:
    return RetrievalSet(
        name=SOURCE,
        documents=tuple(Document(entry.name, entry.document, language="en") for entry in entries),
        queries=tuple(Query(entry.name, entry.query, language="en") for entry in entries),
        qrels={entry.name: {entry.name: 1} for entry in entries},
    )
