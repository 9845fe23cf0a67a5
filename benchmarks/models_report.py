"""Tables and a chart of what `benchmarks.models`, `models_speed` and `models_probes` found.

    python -m benchmarks.models_report build/models/*.json --published DATA/published_scores/scores.jsonl.gz \
        --output build/models/report.md --charts build/models

Files of all three kinds are told apart by what they hold. The Markdown goes to docs/models.md, chart by chart.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.models import ModelScores, SuiteScores, difference
from benchmarks.models_probes import ProbeReadings
from benchmarks.models_speed import ModelSpeed, SpeedResult
from slimvec.data.tables import iter_rows
from slimvec.errors import InputError
from slimvec.evaluation.results import Score
from slimvec.reports.blocks import to_markdown
from slimvec.reports.drawing import draw
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import shown_ends

OURS = "slimvec-"
"""How names of slimvec's own models begin."""
PUBLISHED_TASKS = {
    "XQuADRetrieval": "validation",
    "Tatoeba": "test",
    "STSBenchmarkMultilingualSTS": "test",
    "JSTS": "validation",
    "SIB200Classification": "test",
}
"""Split by task."""
PUBLISHED_MODELS = (
    "BAAI/bge-m3",
    "google/embeddinggemma-300m",
    "intfloat/multilingual-e5-small",
    "HIT-TMG/KaLM-embedding-multilingual-mini-v1",
    "HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1",
    "sentence-transformers/all-MiniLM-L6-v2",
)


def shown(score: Score, *, form: str = ".3f") -> str:
    """Write a score with its interval."""
    return f"{score.value:{form}}{shown_ends(score.low, score.high, form=form)}"


def scores_table(scores: SuiteScores, speed: SpeedResult | None) -> Table:
    """Give a row for each model and width: mean, means by type, and what the model costs."""
    kinds = list(dict.fromkeys(kind for found in scores.models.values() for kind in found.widths[0].kinds))
    costs = ("documents/s", "tokens/s", "ms a query") if speed else ()
    rows = []
    for name, found in scores.models.items():
        cost = _costs(speed.models.get(name)) if speed else ()
        whole = len(found.widths[0].tasks) == len(scores.sizes)
        for width in found.widths:
            mean = shown(width.mean) if whole else ""
            beside = shown(width.beside_full, form="+.3f") if width.beside_full else ""
            by_kind = [f"{width.kinds[kind].value:.3f}" if kind in width.kinds else "" for kind in kinds]
            rows.append((name, str(width.dims or ""), mean, beside, *by_kind, *cost))
    header = ("model", "dims", "mean of the tasks", "minus full width", *kinds, *costs)
    return Table(title=f"{scores.suite}: mean over {len(scores.sizes)} tasks", header=header, rows=tuple(rows))


def _costs(found: ModelSpeed | None) -> tuple[str, ...]:
    if found is None:
        return "", "", ""
    tokens = f"{found.tokens_per_second.median:,.0f}" if found.tokens_per_second else ""
    return f"{found.documents_per_second.median:,.1f}", tokens, f"{found.query_ms.median:.1f}"


def tasks_table(scores: SuiteScores) -> Table:
    """Give a row for each task: the score of each model at its full width."""
    rows = [
        (f"{task} ({size})", *(_cell(found, task) for found in scores.models.values()))
        for task, size in scores.sizes.items()
    ]
    return Table(title=f"{scores.suite}: tasks at full width", header=("task", *scores.models), rows=tuple(rows))


def _cell(found: ModelScores, task: str) -> str:
    score = found.widths[0].tasks.get(task)
    return "" if score is None else shown(score)


def subsets_table(scores: SuiteScores) -> Table | None:
    """Give a row for each subset of tasks that have several; None where none has."""
    names: dict[tuple[str, str], None] = {}
    for found in scores.models.values():
        names |= dict.fromkeys((task, subset) for task, subsets in found.subsets.items() for subset in subsets)
    rows = []
    for task, subset in names:
        values = [found.subsets.get(task, {}).get(subset) for found in scores.models.values()]
        rows.append((f"{task}, {subset}", *("" if value is None else f"{value:.3f}" for value in values)))
    header = ("task, subset", *scores.models)
    return Table(title=f"{scores.suite}: subsets", header=header, rows=tuple(rows)) if rows else None


def differences_table(scores: SuiteScores) -> Table | None:
    """Give ours minus each other model, over the tasks both have, paired by sample; None where none is ours."""
    ours = [name for name in scores.models if name.startswith(OURS)]
    rows = []
    for other, found in scores.models.items():
        pairs = [_difference(scores.models[name], found) if name != other else "" for name in ours]
        rows.append((other, *pairs))
    header = ("minus", *ours)
    return (
        Table(title=f"{scores.suite}: differences, paired by sample", header=header, rows=tuple(rows)) if ours else None
    )


def _difference(first: ModelScores, second: ModelScores) -> str:
    return shown(difference(first.values, second.values), form="+.3f")


def probes_table(found: ProbeReadings) -> Table:
    """Give a row for each model: the main measure of each probe, with its baseline."""
    probes = list(dict.fromkeys(probe for readings in found.models.values() for probe in readings))
    names = {
        probe: reading.main.name
        for readings in found.models.values()
        for probe, reading in readings.items()
        if reading.main is not None
    }
    rows = []
    for model, readings in found.models.items():
        cells = []
        for probe in probes:
            main = readings[probe].main if probe in readings else None
            baseline = f" ({main.baseline_name} {main.baseline:.3f})" if main and main.baseline is not None else ""
            cells.append(f"{main:.3f}{baseline}" if main else "")
        rows.append((model, *cells))
    header = ("model", *(f"{probe}: {names.get(probe, '')}" for probe in probes))
    return Table(title=f"probes, {found.amount}", header=header, rows=tuple(rows))


def published_table(path: Path) -> Table:
    """Give published scores of the multilingual tasks, out of 100, as means over the subsets that were published.

    They are of whole sets, and XQuAD's within a language, so that they stand beside ours and do not compare with them.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for row in iter_rows(path):
        key = str(row.values["model"]), str(row.values["task"])
        if PUBLISHED_TASKS.get(key[1]) != row.values["split"]:
            continue
        values.setdefault(key, []).append(100 * float(str(row.values["main_score"])))
    rows = []
    for model in PUBLISHED_MODELS:
        found = [values.get((model, task), []) for task in PUBLISHED_TASKS]
        rows.append((model, *(f"{sum(own) / len(own):.1f}" if own else "" for own in found)))
    return Table(title="published, whole sets", header=("model", *PUBLISHED_TASKS), rows=tuple(rows))


def chart(scores: SuiteScores, speed: SpeedResult) -> Plot | None:
    """Plot what a query costs against the mean score: of each model a point for each width, one above the other.

    BM25, which has retrieval scores alone, is left out where the suite has other tasks. None where no model was timed.
    """
    curves = []
    for name, found in scores.models.items():
        if name in speed.models and len(found.widths[0].tasks) == len(scores.sizes):
            means = [width.mean for width in found.widths]
            curves.append(
                Curve(
                    label=f"{name}, {', '.join(str(width.dims) for width in found.widths)}",
                    xs=(float(f"{speed.models[name].query_ms.median:.2g}"),) * len(means),
                    ys=tuple(mean.value for mean in means),
                    lows=tuple(mean.value if mean.low is None else mean.low for mean in means),
                    highs=tuple(mean.value if mean.high is None else mean.high for mean in means),
                )
            )
    if not curves:
        return None
    return Plot(
        title=f"Suite {scores.suite}: quality and time, by width",
        x_label="milliseconds a query",
        y_label="mean score",
        curves=tuple(curves),
        kind="points",
        x_log=True,
    )


def read_results(paths: Sequence[Path]) -> tuple[list[SuiteScores], SpeedResult | None, ProbeReadings | None]:
    """Read results of all kinds.

    Raises:
        InputError: a file is none of them.
    """
    scores: list[SuiteScores] = []
    speed: SpeedResult | None = None
    probes: ProbeReadings | None = None
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if '"suite":' in text:
            scores.append(SuiteScores.read(path))
        elif '"query_ms":' in text:
            speed = SpeedResult.read(path)
        elif '"amount":' in text:
            probes = ProbeReadings.read(path)
        else:
            raise InputError(f"{path} holds no scores, speeds or readings", expected="files of benchmarks.models")
    return scores, speed, probes


def tables_of(
    scores: Sequence[SuiteScores], speed: SpeedResult | None, probes: ProbeReadings | None, published: Path | None
) -> Iterator[Table]:
    """Give all tables."""
    for suite in scores:
        found = scores_table(suite, speed), differences_table(suite), tasks_table(suite), subsets_table(suite)
        yield from (table for table in found if table is not None)
    if probes is not None:
        yield probes_table(probes)
    if published is not None:
        yield published_table(published)


def main() -> None:
    """Write the Markdown, and a chart for each suite where speeds are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--charts", type=Path)
    given = parser.parse_args()
    scores, speed, probes = read_results(given.results)
    tables = tables_of(scores, speed, probes, given.published)
    given.output.write_text(to_markdown(list(tables)), encoding="utf-8")
    if given.charts is not None and speed is not None:
        given.charts.mkdir(parents=True, exist_ok=True)
        for suite in scores:
            if (plot := chart(suite, speed)) is not None:
                (given.charts / f"models-{suite.suite}.svg").write_text(draw(plot) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
