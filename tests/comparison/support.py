"""What the tests of studies need: data to train and score on, and results as if they had been run."""

import json

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.evaluation.results import Score, SubsetResult, TaskResult

WORDS = ("file", "list", "time", "number", "folder", "error", "socket", "tree", "colour", "letter", "page", "house")


def write_study_data(folder):
    """Write pairs and a retrieval set."""
    (folder / "words").mkdir(parents=True)
    tables = {
        "pairs": [{"query": f"a {word}", "positive": f"about the {word}"} for word in WORDS],
        "words/corpus": [{"id": word, "title": "", "text": f"on {word}s"} for word in WORDS],
        "words/queries": [{"id": f"q-{word}", "text": f"which {word}?"} for word in WORDS[:8]],
        "words/qrels": [{"query_id": f"q-{word}", "doc_id": word, "score": 1} for word in WORDS[:8]],
    }
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def result(variant, seed, values, mixing=None):
    score = Score(value=float(np.mean(values)), low=0, high=1)
    ids = tuple(map(str, range(len(values))))
    subset = SubsetResult(
        subset="default", score=score, metrics={}, sample_ids=ids, values=tuple(values), prompts={}, num_texts=0,
        num_tokens=0, truncated_share=0,
    )  # fmt: skip
    task = TaskResult(
        task="words", kind="Retrieval", measure="ndcg_at_10", score=score, unit="queries", method="mean",
        subsets=(subset,), instruction=None, seconds=0, dataset_hash="", num_documents=9,
    )  # fmt: skip
    return RunResult(
        variant=variant, seed=seed, key="", steps=0, tokens=0, train_seconds=0, loss=None, tasks=(task,), mixing=mixing
    )
