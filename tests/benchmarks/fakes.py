"""Engines for tests: no model, standard library and numpy only."""

import os
import sys

import numpy as np

from benchmarks.engines.base import Run, UnusableError


class Counting:
    """Vectors that say how long a text is; prints on the way, as libraries do."""

    def prepare(self, model):
        print("preparing", model.source)

    def load(self, model):
        print("noise on stdout")
        self.instruction = model.instruction
        return {"dtype": "float32", "threads": os.environ["OMP_NUM_THREADS"]}

    def embed(self, texts, instructed):
        added = len(self.instruction) if instructed else 0
        return Run(np.array([[len(text) + added, 1.0] for text in texts], dtype=np.float32), num_computed=len(texts))


class Unusable(Counting):
    def prepare(self, model):
        raise UnusableError(f"there is no such form\nof {model.source}")


class Dying(Counting):
    def load(self, model):
        print("out of luck with", model.source, file=sys.stderr, flush=True)
        os._exit(3)
