"""`slimvec compare`: run a study and write its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slimvec.cli.progress import Task
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.comparison.runs import Run
    from slimvec.training.events import StepCallback, StepEvent

KEYS = {
    "output": "the folder with report.html, report.md, report.json and every run's results",
    "rows": "by variant: mean, difference from the reference with low and high, p_holm and verdict",
    "num_missing": "runs that are not done",
}


def compare(
    terminal: Terminal,
    study_file: Annotated[Path, typer.Argument(help="The study, a YAML file.", metavar="STUDY.yaml")],
    *,
    data: Annotated[Path, typer.Option("--data", "-d", help="Folder with the retrieval sets; ${data} in the study.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for runs and report.")],
    folder: Annotated[
        list[str] | None, typer.Option(help="A folder the study names as ${NAME}.", metavar="NAME=PATH")
    ] = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Keep the trained models.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Write the report of the runs there are.")] = False,
) -> Result:
    """Compare variants of one recipe, everything else held equal, and write a report with intervals.

    Every variant is trained once with each seed and scored on the same queries. What is done is kept: a study that was
    stopped goes on where it was, and one that has grown runs only what is new.
    """
    with terminal.task("reading the study"):
        from slimvec.comparison.layout import markdown, page
        from slimvec.comparison.report import make_report
        from slimvec.comparison.runs import plan_runs, run_study, stored_results
        from slimvec.comparison.study import read_study
        from slimvec.files import atomic_file

        study = read_study(study_file, folders={"data": data, **_folders(folder or ())})
    if report_only:
        results = stored_results(study, output)
        if not any(result.variant == study.reference for result in results):
            raise InputError(f"{output} has no results of {study.reference}", do="run the study without --report-only")
    else:
        with terminal.task(f"study {study.name}", total=float(len(plan_runs(study)))) as task:
            watcher = _Watcher(task)
            results = []
            for result in run_study(study, data, output, watcher=watcher, keep_models=keep_models):
                results.append(result)
                task.update(completed=float(len(results)))
    report = make_report(study, results)
    files = {
        "report.json": report.model_dump_json(indent=1) + "\n",
        "report.md": markdown(report),
        "report.html": page(report),
    }
    for name, text in files.items():
        with atomic_file(output / name, force=True) as path:
            path.write_text(text, encoding="utf-8")
    terminal.print(markdown(report))
    return {
        "output": str(output),
        "rows": {
            row.variant: {
                "mean": row.mean,
                "difference": None if row.effect is None else row.effect.difference.model_dump(),
                "p_holm": None if row.effect is None else row.effect.p_holm,
                "verdict": row.verdict,
            }
            for row in report.rows
        },
        "num_missing": report.num_missing,
    }


@dataclass(slots=True)
class _Watcher:
    """Shows which run is on.

    Attributes:
        task: The display.
        name: Of the run.
    """

    task: Task
    name: str = ""

    def begin(self, run: "Run", number: int, total: int) -> None:
        """Announce a run."""
        self.name = f"run {number} of {total}: {run.variant}, seed {run.seed}"
        self.task.update(description=self.name)

    def step(self) -> "Sequence[StepCallback]":
        """Show the steps of its training."""

        def show(event: "StepEvent") -> None:
            self.task.update(detail=f"step {event.step}, loss {event.loss:.3f}, {event.tokens_per_s:,.0f} tokens/s")

        return [show]

    def scored(self, texts: int) -> None:  # noqa: ARG002
        """Show that it is being scored."""
        self.task.update(detail="scoring")


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
