"""Scores of all-MiniLM-L6-v2 beside those published for it: `python -m benchmarks.published --data FOLDER`.

The published scores are those of the results repository of mteb, as `published_scores` in the data folder holds them.
Tasks are those whose data and split are at hand; where the data or the protocol differ, the table says so. With
`--direct`, some tasks are also scored by mteb with sentence-transformers alone, without any part of slimvec.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Frozen, write_json
from slimvec.data.tables import iter_rows
from slimvec.evaluation.local_tasks import LoadedTask, load_task
from slimvec.evaluation.models import EvaluatedModel
from slimvec.evaluation.results import TaskResult, package_versions
from slimvec.evaluation.scoring import MtebEncoder, run_task
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.suite import TaskEntry
from slimvec.evaluation.vector_store import VectorStore

SOURCE = "minilm-l6"
PUBLISHED_AS = "sentence-transformers/all-MiniLM-L6-v2"
LIMIT = 0.2
"""Points out of 100 that a score may differ by where data and protocol are the same."""


class Row(Frozen):
    """A score beside the published one, both out of 100.

    Attributes:
        task: mteb's name.
        subset: mteb's name.
        split: Split of the data.
        ours: Score through `slimvec evaluate`.
        low: Lower end of its 95% interval.
        high: Upper end.
        published: The published score.
        direct: Score through sentence-transformers and mteb alone, where it was asked for.
        same: Whether data and protocol are the same, so that the scores must agree.
        remark: What differs, where it does.
    """

    task: str
    subset: str
    split: str
    ours: float
    low: float
    high: float
    published: float
    direct: float | None
    same: bool
    remark: str

    @property
    def difference(self) -> float:
        """Ours minus published."""
        return self.ours - self.published


class PublishedResult(Frozen):
    """All rows, and what they rest on.

    Attributes:
        model: As it is published.
        limit: Points that `same` rows may differ by.
        rows: By task and subset.
        versions: Versions of the packages the scores depend on.
    """

    model: str
    limit: float
    rows: tuple[Row, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Counterpart:
    """A local task and the published one.

    Attributes:
        entry: The local task; its protocol is the published task's name.
        remark: What differs from the published task; empty when nothing does.
        suffix: What mteb adds to the subset's name.
        single: mteb's name of the only subset, where it differs from ours.
    """

    entry: TaskEntry
    remark: str = ""
    suffix: str = ""
    single: str = "default"

    def published_subset(self, subset: str) -> str:
        """Give mteb's name of one of our subsets."""
        return self.single if subset == "default" else subset + self.suffix


def _sts(year: int, remark: str = "") -> Counterpart:
    where = {"year": f"20{year}"}
    return Counterpart(
        TaskEntry(name=f"sts{year}", kind="sts", folder="sts12_16", where=where, protocol=f"STS{year}"), remark
    )


_STSB_LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru", "zh")
COUNTERPARTS = (
    _sts(12, "without MSRvid, 750 of 3,108 pairs, which the local copy lacks"),
    _sts(13),
    _sts(14),
    _sts(15),
    _sts(16),
    Counterpart(TaskEntry(name="sick-r", kind="sts", folder="sick", file="all.jsonl.gz", protocol="SICK-R")),
    Counterpart(
        TaskEntry(name="stsb-en", kind="sts", folder="stsb_multi", where={"lang": "en"}, protocol="STSBenchmark")
    ),
    Counterpart(
        TaskEntry(name="korsts", kind="sts", folder="stsb_multi", where={"lang": "ko"}, protocol="KorSTS"),
        "1,379 pairs, of which mteb's copy has 1,376",
    ),
    Counterpart(TaskEntry(name="jsts", kind="sts", file="valid.jsonl.gz", protocol="JSTS", split="validation")),
    Counterpart(
        TaskEntry(
            name="stsb_multi",
            kind="sts",
            by="lang",
            id="idx",
            subsets=_STSB_LANGUAGES,
            protocol="STSBenchmarkMultilingualSTS",
        )
    ),
    Counterpart(TaskEntry(name="banking77", kind="classification", protocol="Banking77Classification")),
    Counterpart(
        TaskEntry(
            name="pawsx",
            kind="pair_classification",
            file="dev.jsonl.gz",
            by="lang",
            id="id",
            split="validation",
            protocol="PawsXPairClassification",
        ),
        "without the rows that have no translation (68 de, 36 ko, 16 zh of 2,000), all of them no paraphrases",
    ),
    Counterpart(
        TaskEntry(
            name="xquad",
            kind="retrieval",
            by="lang",
            merge_identical=True,
            split="validation",
            protocol="XQuADRetrieval",
        )
    ),
    Counterpart(
        TaskEntry(name="sib200", kind="classification", by="lang", id="id", protocol="SIB200Classification"),
        "packages or data of the published run differ: where mteb alone was run on the data here, it is as far from it",
    ),
    Counterpart(
        TaskEntry(
            name="tatoeba",
            kind="bitext",
            folder="tatoeba_bitext",
            first="src",
            second="eng",
            by="lang",
            protocol="Tatoeba",
        ),
        suffix="-eng",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, write the table, and fail when a score that must agree does not."""
    options = _parser().parse_args(arguments)
    published = read_published(options.data / "published_scores" / "scores.jsonl.gz", PUBLISHED_AS)
    model = SlimvecModel.load(SOURCE, dtype="float32")
    rows: list[Row] = []
    for chosen in _chosen(options.only):
        counterpart = _narrowed(chosen, options.subsets, published)
        if counterpart is None:
            continue
        loaded = load_task(counterpart.entry, options.data)
        direct = _direct_scores(loaded) if counterpart.entry.name in options.direct else {}
        found = _rows(counterpart, _score(model, loaded), direct, published)
        for row in found:
            print(f"{row.task} {row.subset}: {row.ours:.2f}, published {row.published:.2f}", flush=True)
        rows += found
        _write(rows, options.output)  # a killed run keeps the tasks it finished
    off = [row for row in rows if row.same and abs(row.difference) > LIMIT]
    for row in off:
        print(f"{row.task} {row.subset} differs by {row.difference:+.2f} points", file=sys.stderr)
    return 1 if off else 0


def _write(rows: Sequence[Row], path: Path) -> None:
    """Write JSON and table, with the rows of an earlier run that this one has not scored."""
    file = path.with_suffix(".json")
    earlier = PublishedResult.model_validate_json(file.read_bytes()).rows if file.is_file() else ()
    anew = {(row.task, row.split, row.subset) for row in rows}
    kept = [row for row in earlier if (row.task, row.split, row.subset) not in anew]
    order = [str(counterpart.entry.protocol) for counterpart in COUNTERPARTS]
    merged = sorted([*kept, *rows], key=lambda row: (order.index(row.task), row.subset))
    result = PublishedResult(model=PUBLISHED_AS, limit=LIMIT, rows=tuple(merged), versions=package_versions(("mteb",)))
    write_json(result, file)
    path.with_suffix(".md").write_text(render(result), encoding="utf-8")


def read_published(path: Path, model: str) -> dict[tuple[str, str, str], float]:
    """Read a model's published scores: by task, split and subset."""
    rows = (row.values for row in iter_rows(path))
    return {
        (str(row["task"]), str(row["split"]), str(row["subset"])): float(str(row["main_score"]))
        for row in rows
        if row["model"] == model
    }


def render(result: PublishedResult) -> str:
    """Lay out the rows as Markdown, those that must agree first."""
    same, other = ([row for row in result.rows if row.same is kind] for kind in (True, False))
    worst = max((abs(row.difference) for row in same), default=0.0)
    held = sum(abs(row.difference) <= result.limit for row in same)
    parts = [
        f"# {result.model}: scores beside the published ones",
        f"Out of 100. Of {len(same)} scores on the same data by the same protocol, {held} are within {result.limit} "
        f"points; the largest difference is {worst:.2f}.",
        _table(same),
    ]
    if other:
        parts += ["Not the same data or protocol:", _table(other)]
    parts.append("Versions: " + ", ".join(f"{name} {version}" for name, version in result.versions.items()))
    return "\n\n".join(parts) + "\n"


def _table(rows: Iterable[Row]) -> str:
    lines = [
        "| task | subset | split | ours | 95% interval | published | difference | mteb alone | remark |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        direct = "" if row.direct is None else f"{row.direct:.2f}"
        numbers = (
            f"{row.ours:.2f} | {row.low:.1f} to {row.high:.1f} | {row.published:.2f} | {row.difference:+.2f} | {direct}"
        )
        lines.append(f"| {row.task} | {row.subset} | {row.split} | {numbers} | {row.remark} |")
    return "\n".join(lines)


def _narrowed(
    counterpart: Counterpart, wanted: Sequence[str], published: Mapping[tuple[str, str, str], float]
) -> Counterpart | None:
    """Leave out subsets that are not published, or not asked for; None when nothing is left."""
    entry = counterpart.entry
    if entry.by is None:
        return counterpart
    known = [subset for task, split, subset in published if (task, split) == (entry.protocol, entry.split)]
    subsets = [name.removesuffix(counterpart.suffix) if counterpart.suffix else name for name in known]
    subsets = [
        name for name in subsets if (not wanted or name in wanted) and (not entry.subsets or name in entry.subsets)
    ]
    if entry.name == "pawsx":
        subsets = [name for name in subsets if name in ("de", "ko", "zh")]
    narrowed = entry.model_copy(update={"subsets": tuple(subsets)})
    return Counterpart(narrowed, counterpart.remark, counterpart.suffix, counterpart.single) if subsets else None


def _score(model: EvaluatedModel, loaded: LoadedTask) -> TaskResult:
    store = VectorStore(str(model.card.identity))
    return run_task(loaded, MtebEncoder(model, store=store), num_resamples=2_000)


def _direct_scores(loaded: LoadedTask) -> dict[str, float]:
    """Have mteb score the model with sentence-transformers, without any part of slimvec but the reading of the data."""
    from mteb.models import SentenceTransformerEncoderWrapper

    from slimvec.model.sources import resolve_source

    wrapper: Any = SentenceTransformerEncoderWrapper(str(resolve_source(SOURCE)), device="cpu")
    scores = loaded.task.evaluate(
        wrapper, loaded.entry.split, list(loaded.subsets), encode_kwargs={"batch_size": 32, "show_progress_bar": False}
    )
    return {subset: float(found["main_score"]) for subset, found in scores.items()}


def _rows(
    counterpart: Counterpart,
    report: TaskResult,
    direct: Mapping[str, float],
    published: Mapping[tuple[str, str, str], float],
) -> list[Row]:
    entry = counterpart.entry
    rows = []
    for part in report.subsets:
        name = counterpart.published_subset(part.subset)
        rows.append(
            Row(
                task=str(entry.protocol),
                subset=name,
                split=entry.split,
                ours=100 * part.score.value,
                low=100 * (part.score.value if part.score.low is None else part.score.low),
                high=100 * (part.score.value if part.score.high is None else part.score.high),
                published=100 * published[str(entry.protocol), entry.split, name],
                direct=100 * direct[part.subset] if part.subset in direct else None,
                same=not counterpart.remark,
                remark=counterpart.remark,
            )
        )
    return rows


def _chosen(names: Sequence[str]) -> list[Counterpart]:
    return [found for found in COUNTERPARTS if not names or found.entry.name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the sets and published_scores")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results/published-minilm-l6"), help="without suffix"
    )
    parser.add_argument("--only", nargs="*", default=[], help="tasks, by the names in this file")
    parser.add_argument("--subsets", nargs="*", default=[], help="languages, of the tasks that have several")
    parser.add_argument("--direct", nargs="*", default=[], help="tasks to score a second time by mteb alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
