"""What a number format costs in search: nDCG@10 by dtype on several retrieval sets, in one process.

`python -m benchmarks.precision smollm2-135m --data FOLDER --sets cranfield cacm` prints a table and writes JSON. FOLDER
holds retrieval sets as slimvec reads them; MODEL is a built-in name or a folder, a trained one where the model shall
be good at it. Differences are paired query by query, with 95% bootstrap intervals.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.forms import model_name
from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT
from benchmarks.results import Frozen, write_json
from benchmarks.texts import limit_set
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.engine.machine import num_cores
from slimvec.errors import SlimvecError
from slimvec.evaluation.retrieval import measure_vectors
from slimvec.ranking.metrics import MAIN_METRIC
from slimvec.statistics.intervals import paired_difference
from slimvec.statistics.resampling import Values

REFERENCE = "float32"
DTYPES = (REFERENCE, "bfloat16", "int8")
_SEED = 0


class Difference(Frozen):
    """nDCG@10 of a dtype less that of float32 on the same queries, with its 95% interval."""

    value: float
    low: float
    high: float


class SetPrecision(Frozen):
    """A retrieval set.

    Attributes:
        num_documents: Documents.
        num_queries: Queries.
        ndcg_at_10: By dtype.
        differences: By dtype but float32.
        min_cosine: Lowest cosine of any vector with float32's, by dtype but float32.
    """

    num_documents: int
    num_queries: int
    ndcg_at_10: Mapping[str, float]
    differences: Mapping[str, Difference]
    min_cosine: Mapping[str, float]


class PrecisionResult(Frozen):
    """Everything that was found.

    Attributes:
        model: Name of the model.
        machine: Where.
        max_tokens: Longest text.
        engines: What ran each dtype.
        sets: By name.
    """

    model: str
    machine: Machine
    max_tokens: int
    engines: Mapping[str, str]
    sets: Mapping[str, SetPrecision]


class Scored:
    """A set embedded in one dtype.

    Args:
        embedder: The model.
        dataset: The set.
    """

    def __init__(self, embedder: Embedder, dataset: RetrievalSet) -> None:
        documents = embedder.embed_documents([document.content for document in dataset.documents])
        queries = embedder.embed_queries([query.text for query in dataset.queries])
        self.values: Values = measure_vectors(queries, documents, dataset)[MAIN_METRIC]
        self.vectors = torch.cat([torch.from_numpy(documents), torch.from_numpy(queries)]).double()


def compare(dataset: RetrievalSet, scored: Mapping[str, Scored]) -> SetPrecision:
    """Hold every dtype against float32."""
    reference = scored[REFERENCE]
    others = {dtype: found for dtype, found in scored.items() if dtype != REFERENCE}
    intervals = {
        dtype: paired_difference(found.values, reference.values, seed=_SEED) for dtype, found in others.items()
    }
    return SetPrecision(
        num_documents=len(dataset.documents),
        num_queries=len(dataset.queries),
        ndcg_at_10={dtype: float(found.values.mean()) for dtype, found in scored.items()},
        differences={
            dtype: Difference(value=found.value, low=found.low, high=found.high) for dtype, found in intervals.items()
        },
        min_cosine={
            dtype: float(torch.cosine_similarity(found.vectors, reference.vectors, dim=1).min())
            for dtype, found in others.items()
        },
    )


def render(result: PrecisionResult) -> str:
    """Give the table in Markdown."""
    lines = ["| set | float32 | " + " | ".join(DTYPES[1:]) + " |", "| --- | ---: | ---: | ---: |"]
    for name, found in result.sets.items():
        cells = [f"{found.ndcg_at_10[REFERENCE]:.4f}"]
        for dtype in DTYPES[1:]:
            if dtype not in found.differences:
                cells.append("")
                continue
            d = found.differences[dtype]
            cells.append(f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}), cosine {found.min_cosine[dtype]:.5f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("model", help="built-in name or folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of retrieval sets")
    parser.add_argument("--sets", nargs="+", required=True, metavar="SET", help="folders in it")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES[1:], default=list(DTYPES[1:]))
    parser.add_argument("--documents", type=int, default=500, help="of each set (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=128, help="longest text (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=num_cores(), help="default: all cores")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/MODEL-precision.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score every set in every dtype; 0 when it is done, 2 when it cannot be."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        result = run(options)
    except SlimvecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    name = f"{result.model}-precision.json"
    write_json(result, options.output or ROOT / "benchmarks" / "results" / name)
    print(render(result))
    return 0


def run(options: argparse.Namespace) -> PrecisionResult:
    """Embed and score, one dtype after the other."""
    sets = [limit_set(read_retrieval_set(options.data / name), options.documents) for name in options.sets]
    scored: dict[str, dict[str, Scored]] = {dataset.name: {} for dataset in sets}
    engines = {}
    for dtype in (REFERENCE, *options.dtypes):
        embedder = Embedder.load(options.model, dtype=dtype, max_tokens=options.max_tokens)
        engines[dtype] = embedder.engine
        for dataset in sets:
            scored[dataset.name][dtype] = Scored(embedder, dataset)
            print(
                f"{dtype}, {dataset.name}: {scored[dataset.name][dtype].values.mean():.4f}", file=sys.stderr, flush=True
            )
    return PrecisionResult(
        model=model_name(options.model),
        machine=this_machine(),
        max_tokens=options.max_tokens,
        engines=engines,
        sets={dataset.name: compare(dataset, scored[dataset.name]) for dataset in sets},
    )


if __name__ == "__main__":
    sys.exit(main())
