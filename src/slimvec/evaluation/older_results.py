"""The form of results of retrieval sets before there was one type for all results.

It is read, and its keys (`query_ids`, `per_query` and others of a task) are written beside those of today until the
next release.
"""

from collections.abc import Mapping
from typing import Any

from slimvec.ranking.metrics import MAIN_METRIC

_OF_EVALUATIONS = {"system": "model", "seed": "seed", "versions": "versions"}
"""What stood with every task: the older key, and that of an evaluation."""
_OF_SUBSETS = ("metrics", "query_ids", "per_query", "num_queries", "truncated_share")


def task_of_older(values: Any) -> Any:
    """Give a task in today's form, whatever was read."""
    if not isinstance(values, Mapping) or "per_query" not in values:
        return values
    kept = {key: value for key, value in values.items() if key not in (*_OF_EVALUATIONS, *_OF_SUBSETS)}
    if "subsets" in kept:
        return kept
    metrics, columns = dict(values["metrics"]), dict(values["per_query"])
    subset = {
        "subset": "default",
        "score": metrics[MAIN_METRIC],
        "metrics": {name: score["value"] for name, score in metrics.items()},
        "sample_ids": values["query_ids"],
        "values": columns.pop(MAIN_METRIC),
        "other_metrics": {name: {"score": metrics[name], "values": column} for name, column in columns.items()},
        "prompts": values["system"].get("prompts", {}),
        "num_texts": values["num_queries"] + values["num_documents"],
        "num_tokens": 0,
        "truncated_share": values["truncated_share"],
    }
    main = {"measure": MAIN_METRIC, "score": metrics[MAIN_METRIC], "unit": "queries", "method": "mean"}
    return {"kind": "Retrieval", **main, "subsets": [subset], **kept}


def evaluation_of_older(values: Any) -> Any:
    """Give an evaluation in today's form: what stood with every task stands once."""
    if not isinstance(values, Mapping) or "model" in values or not values.get("tasks"):
        return values
    first = values["tasks"][0]
    return {key: first[older] for older, key in _OF_EVALUATIONS.items() if older in first} | dict(values)


def older_keys(task: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Give the older keys of a task that is written, of one subset."""
    (subset,) = task["subsets"]
    others = subset["other_metrics"]
    return {
        **{older: evaluation[key] for older, key in _OF_EVALUATIONS.items()},
        "metrics": {task["measure"]: task["score"]} | {name: found["score"] for name, found in others.items()},
        "query_ids": subset["sample_ids"],
        "per_query": {task["measure"]: subset["values"]} | {name: found["values"] for name, found in others.items()},
        "num_queries": len(subset["values"]),
        "truncated_share": subset["truncated_share"],
    }
