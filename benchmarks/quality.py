"""The scores of a quickstart in one table, beside BM25 with identifiers split and ready models, on the same documents.

`python -m benchmarks.quality slimvec-quickstart --model minilm-l6` reads what the quickstart scored (the raw language
model, the trained one), scores the rest on its held-out set, prints the table and writes JSON. BM25 is stronger when
the parts of `snake_case` names are words too, and stands in both forms.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT
from benchmarks.results import Frozen, write_json
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, SlimvecError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import EvaluationResult, Score, TaskResult, package_versions
from slimvec.evaluation.retrieval import bm25_card, score_bm25, score_retrieval
from slimvec.evaluation.slimvec_model import describe_embedder
from slimvec.ranking.metrics import MAIN_METRIC

_FROM_QUICKSTART = ("raw", "trained")
_SHOWN = (MAIN_METRIC, "recall_at_1", "recall_at_10")


class Row(Frozen):
    """A system on the held-out documents.

    Attributes:
        name: `raw`, `trained`, `BM25`, `BM25, identifiers split`, or a model's name.
        metrics: Scores with 95% bootstrap intervals over the queries, by metric.
        dtype: Data type of the computation.
        truncated_share: Share of the texts that were truncated.
    """

    name: str
    metrics: Mapping[str, Score]
    dtype: str
    truncated_share: float


class QualityResult(Frozen):
    """The table.

    Attributes:
        base: What was trained.
        num_documents: Documents, each the answer of one query.
        num_queries: Queries.
        dataset_hash: SHA-256 over the set.
        machine: Where the quickstart ran; it decides how much was trained.
        versions: Package versions.
        rows: Systems, in the order of the table.
    """

    base: str
    num_documents: int
    num_queries: int
    dataset_hash: str
    machine: Machine
    versions: Mapping[str, str]
    rows: tuple[Row, ...]


def collect(folder: Path, models: Sequence[str] = (), *, base: str = "smollm2-135m") -> QualityResult:
    """Read a quickstart's scores and add the others.

    Args:
        folder: What the quickstart wrote: `heldout`, and `results` with a file a system.
        models: Names or folders of ready models to score too.
        base: What was trained.

    Raises:
        InputError: the folder is not a quickstart's, or its scores are those of another set.
    """
    dataset = read_retrieval_set(folder / "heldout", name="python-docs")
    found = [_stored(folder / "results" / f"{name}.json", name) for name in _FROM_QUICKSTART]
    found += [_scored(model, dataset) for model in models]
    found += [
        (bm25_card(split_identifiers=split), score_bm25(dataset, split_identifiers=split)) for split in (False, True)
    ]
    hashes = {result.dataset_hash for _, result in found}
    if len(hashes) > 1:
        raise InputError(f"{folder}/results were scored on another set than {folder}/heldout", expected="one set")
    return QualityResult(
        base=base,
        num_documents=len(dataset.documents),
        num_queries=len(dataset.queries),
        dataset_hash=hashes.pop(),
        machine=this_machine(),
        versions=package_versions(),
        rows=tuple(_row(*pair) for pair in found),
    )


def render(result: QualityResult) -> str:
    """Write the table as Markdown."""
    lines = [
        f"| {result.num_documents:,} documents | {' | '.join(metric for metric in _SHOWN)} |",
        f"| --- |{' ---: |' * len(_SHOWN)}",
    ]
    lines += [
        f"| {row.name} | {' | '.join(f'{row.metrics[metric]:.3f}' for metric in _SHOWN)} |" for row in result.rows
    ]
    return "\n".join(lines)


def _stored(path: Path, name: str) -> tuple[ModelCard, TaskResult]:
    found = EvaluationResult.read(path)
    (task,) = found.tasks
    return found.model.model_copy(update={"name": name}), task


def _scored(model: str, dataset: RetrievalSet) -> tuple[ModelCard, TaskResult]:
    embedder = Embedder.load(model)
    card = describe_embedder(embedder, name=Path(model).name, identity=embedder.identity.sha256)
    return card, score_retrieval(embedder, dataset, prompts=card.prompts)


def _row(card: ModelCard, result: TaskResult) -> Row:
    return Row(
        name=card.name,
        metrics=result.metrics,
        dtype=card.dtype or "",
        truncated_share=result.truncated_share or 0.0,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect, print and write; 0 when it is done, 2 when it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a quickstart's folder")
    parser.add_argument("--model", action="append", default=[], help="a ready model to score too, more than once")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "quickstart-quality.json")
    options = parser.parse_args(arguments)
    try:
        result = collect(options.folder, options.model)
    except SlimvecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_json(result, options.output)
    print(render(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
