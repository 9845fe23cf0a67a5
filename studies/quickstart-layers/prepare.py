"""Collects the corpus of `slimvec quickstart` for studies/quickstart-layers: `python prepare.py OUTPUT`.

From the documentation of the installed Python packages, as the quickstart does it: train.jsonl, and the set python-docs
of other packages.
"""

import sys
from pathlib import Path

from slimvec.data.pydocs import build_doc_corpus
from slimvec.data.retrieval_files import write_retrieval_set
from slimvec.data.writers import write_rows


def main() -> None:
    """Write both."""
    output = Path(sys.argv[1])
    corpus = build_doc_corpus(None, num_heldout=500, num_processes=2)
    (output / "python-docs").mkdir(parents=True)
    write_rows(output / "train.jsonl", [{"query": one.query, "positive": one.positives[0]} for one in corpus.train])
    write_retrieval_set(corpus.heldout, output / "python-docs")
    print(f"{len(corpus.train):,} pairs, {len(corpus.heldout.documents):,} documents of other packages")


if __name__ == "__main__":
    main()
