"""Lays out the corpus of `slimvec quickstart` as studies/quickstart-layers reads it: `python prepare.py OUTPUT`.

From the documentation of the installed Python packages: train.jsonl, and the set python-docs of other packages.
"""

import shutil
import sys
from pathlib import Path

from slimvec.quickstart.corpus import store_corpus


def main() -> None:
    """Write both."""
    output = Path(sys.argv[1])
    corpus = store_corpus(None, num_heldout=500, num_processes=2)
    shutil.copytree(corpus.heldout, output / "python-docs")
    shutil.copyfile(corpus.train, output / "train.jsonl")
    sys.stdout.write(f"{corpus.num_train:,} pairs of {corpus.num_train_packages} packages\n")


if __name__ == "__main__":
    main()
