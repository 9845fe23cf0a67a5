"""Results of runs, as if they had been run."""

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.evaluation.results import Score, SubsetResult, TaskResult


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
