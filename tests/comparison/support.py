"""Results of runs, as if they had been run."""

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import Score, TaskResult


def result(variant, seed, values, mixing=None):
    score = Score(value=float(np.mean(values)), low=0, high=1)
    ids = tuple(map(str, range(len(values))))
    task = TaskResult(
        task="words", system=ModelCard(name=variant, identity="", dtype="float32"), metrics={"ndcg_at_10": score},
        query_ids=ids, per_query={"ndcg_at_10": tuple(values)}, num_queries=len(ids), num_documents=9, num_unjudged=0,
        truncated_share=0, instruction=None, seconds=0, seed=0, dataset_hash="", versions={},
    )  # fmt: skip
    return RunResult(
        variant=variant, seed=seed, key="", steps=0, tokens=0, train_seconds=0, loss=None, tasks=(task,), mixing=mixing
    )
