"""`slimvec compare`: run a study and write its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.failures import AGAIN
from slimvec.cli.progress import Task
from slimvec.cli.scores import say_left_out
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.comparison.plan import Run
    from slimvec.comparison.study_report import Row
    from slimvec.comparison.trainings import Training
    from slimvec.training.step.events import StepCallback, StepEvent

KEYS = {
    "output": "the folder with report.html, report.md, plots, report.json and every run's results",
    "rows": "by variant: mean, difference from its reference (low and high null under 10 queries), p_holm, verdict",
    "best_betas": "by model of a sweep: best beta with low and high; null where the sweep has no two betas",
    "checks": "by prediction: borne out, not borne out or undecided",
    "num_missing": "runs that are not done",
    "plan": "with --dry-run: trainings, runs, sets and the differences that would show; all else is null",
    "shared_text": "training records and queries that share text with the other side; null if nothing is trained",
}


def compare(
    terminal: Terminal,
    study_file: Path,
    *,
    data: Path,
    output: Path,
    folder: list[str] | None = None,
    keep_models: bool = False,
    part: str = "1/1",
    report_only: bool = False,
    dry_run: bool = False,
    strict: bool = False,
) -> Result:
    """Compare variants of one recipe, everything else held equal, and write a report with intervals.

    Every variant is trained once with each seed and scored on the same queries. What is done is kept: a study that was
    stopped goes on where it was, and one that has grown runs only what is new.

    Positional:
        study_file STUDY.yaml: The study, a YAML file.

    Options:
        data -d: Folder with the retrieval sets; ${data} in the study.
        output -o: Folder for runs and report.
        folder NAME=PATH: A folder the study names as ${NAME}.
        keep_models: Keep the trained models.
        part I/N: Do the I-th of N parts, for N processes that share the output folder.
        report_only: Write the report of the runs there are.
        dry_run: Say what would run, and which differences it could tell, and run nothing.
    """
    with terminal.task("reading the study"):
        from slimvec.comparison.checking import check_models, check_room
        from slimvec.comparison.layout import markdown, write_report
        from slimvec.comparison.outline import outline_study
        from slimvec.comparison.plan import Material
        from slimvec.comparison.runs import missing_runs, run_study, stored_results
        from slimvec.comparison.study import read_study
        from slimvec.comparison.study_data import examine_data
        from slimvec.comparison.study_report import make_report

        study = read_study(study_file, folders={"data": data, **_folders(folder or ())})
    chosen = _part(part)
    if not dry_run:
        terminal.reserve(output / f"part-{chosen[0]}-of-{chosen[1]}", force=False)
    with terminal.task("looking at its data, and for text that is trained on and scored"):
        material = Material.read(study, data, strict=strict)
        found = examine_data(study, material.datasets)
    say_left_out(terminal, material.datasets)
    shared = None if found is None else found.shared_text
    if not report_only:
        with terminal.task("looking at its models"):
            check_models(study, found)
            check_room(missing_runs(material, output), output, keep_models=keep_models)
        if shared is not None:
            shared.check(study.evaluation.max_shared, setting="evaluation.max_shared of the study")
    if dry_run:
        outline = outline_study(material, output)
        terminal.print(*outline.lines())
        return {**dict.fromkeys(KEYS), "shared_text": shared, "plan": outline}
    if not report_only:
        terminal.kept = lambda: (
            f"what is done is kept in {output}; {AGAIN} to go on" if any(output.rglob("*.json")) else ""
        )
        with terminal.task(f"study {study.name}") as task:
            for _ in run_study(material, output, watcher=_Watcher(task), keep_models=keep_models, part=chosen):
                task.update(detail="")
    results = stored_results(material, output)
    summary: Result = {"output": output, "rows": {}, "best_betas": {}, "checks": {}, "plan": None}
    summary |= {"num_missing": len(study.cells) * len(study.seeds) - len(results), "shared_text": None}
    if not any(result.variant == study.reference for result in results):
        if report_only:
            raise InputError(f"{output} has no results of {study.reference}", do="run the study without --report-only")
        return summary
    report = make_report(study, results, shared_text=shared)
    write_report(output, report)
    terminal.print(markdown(report))
    return summary | {
        "rows": {row.variant: _figures(row) for row in report.rows},
        "best_betas": {m.variant: m.best_beta for m in report.swept},
        "checks": {check.name: check.outcome for check in report.checks},
        "shared_text": shared,
    }


def _figures(row: "Row") -> dict[str, Any]:
    """Give what the command's JSON holds of a variant."""
    effect = row.effect
    return {
        "mean": row.mean,
        "difference": None if effect is None else effect.difference,
        "p_holm": None if effect is None else effect.p_holm,
        "verdict": row.verdict,
    }


@dataclass(slots=True)
class _Watcher:
    """Shows which run is on.

    Attributes:
        task: The display.
        name: Name of the run.
        variant: Variant of the run.
    """

    task: Task
    name: str = ""
    variant: str = ""

    def begin(self, run: "Run", number: int, total: int) -> None:
        """Announce a run."""
        self.variant = run.variant
        self.name = f"run {number} of {total}: {run.variant}, seed {run.seed}"
        self.task.update(description=self.name)

    def train(self, training: "Training") -> "Sequence[StepCallback]":
        """Show a training and its steps."""
        what = "" if training.name == self.variant else f", training {training.name}"
        self.task.update(description=f"{self.name}{what}")

        def show(event: "StepEvent") -> None:
            self.task.update(detail=str(event))

        return [show]

    def scored(self, texts: int) -> None:  # noqa: ARG002
        """Show that it is being scored."""
        self.task.update(description=self.name, detail="scoring")


def _part(given: str) -> tuple[int, int]:
    """Read `I/N`.

    Raises:
        InputError: it is something else.
    """
    number, _, count = given.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise InputError(f"--part {given}", expected="I/N with I from 1 to N, as in 1/2")
    return int(number), int(count)


def _folders(given: Sequence[str]) -> dict[str, Path]:
    """Read `NAME=PATH` pairs.

    Raises:
        InputError: one is of another form, or names what is no folder.
    """
    found = {}
    for entry in given:
        name, equals, path = entry.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--folder {entry}", expected="NAME=PATH")
        if not Path(path).is_dir():
            raise InputError(f"--folder {entry}: no such folder", expected="one that exists")
        found[name] = Path(path)
    return found
