"""`slimvec probe`: what a model sees of a text, as numbers with intervals and baselines, in one report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.models import model_or_default
from slimvec.cli.options import Amount, Opening
from slimvec.cli.scores import interval
from slimvec.cli.suites import open_with_progress, vectors_kept
from slimvec.cli.tables import table
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.errors import InputError
from slimvec.probes.registry import PROBES, choose_probes

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.cli.progress import Task
    from slimvec.evaluation.models import EvaluatedModel
    from slimvec.evaluation.vector_store import VectorStore
    from slimvec.probes.protocol import Probe, ProbeConfig
    from slimvec.probes.results import ProbeReport, ProbeResult

KEYS = {
    "readings": "by probe: answer, skipped, seconds, and measures with value, low, high, unit and baseline",
    "model": "its card",
    "against": "readings and model of the second model; null without --against",
    "output": "the folder with report.html, report.md, plots and report.json; null without --output",
}


def probe(
    terminal: Terminal,
    *,
    model: str | None = None,
    only: list[str] | None = None,
    data: Path | None = None,
    text_file: Path | None = None,
    amount: Amount = "full",
    seed: int = 0,
    against: str | None = None,
    output: Path | None = None,
    max_tokens: int | None = None,
    opening: Opening,
    force: bool = False,
) -> Result:
    """Ask what a model sees of a text: word order, position, length, instruction, and what its tokenizer reads.

    Each probe gives an answer in words and numbers with 95% intervals, beside what a model without the property would
    have on the same items. Any model that `evaluate --suite` takes can be probed; what a model does not bear is left
    out, and the report says why. docs/probes.md says how each is measured, and how to read it.

    Options:
        model -m M: As everywhere, or a server: http://HOST:PORT/v1#MODEL; default {DEFAULT_MODEL}.
        only NAME: Only this probe: {PROBES}.
        data -d FOLDER: A folder with outside sets, each in a folder.
        text_file FILE: Your own texts, one a line, for probes that read them.
        amount: How much is drawn: quick is about a quarter, tiny a twentieth.
        seed N (from 0): Random seed for everything drawn.
        against M: A second model, shown beside the first.
        output -o FOLDER: Write the report into this folder.
        max_tokens N (from 1): Longest text of the model, and of the probe of length. Default: the model's own; 4,096 at
            most.
    """
    terminal.reserve(output, force=force)
    opening = opening.named_anew(terminal)
    probes = choose_probes(only or ())
    for path, there, what in ((data, Path.is_dir, "folder"), (text_file, Path.is_file, "file")):
        if path is not None and not there(path):
            raise InputError(f"no {what} {path}", expected=f"a {what} that exists")
    from slimvec.probes.protocol import ProbeConfig

    reports = []
    for source in (model_or_default(terminal, model), *([against] if against else ())):
        opened = open_with_progress(terminal, source, opening, max_tokens=max_tokens)
        config = ProbeConfig(
            data=data, seed=seed, amount=amount, source=source, text_file=text_file, max_tokens=max_tokens
        )
        reports.append(_run(terminal, opened, probes, config, vectors_kept(opened, opening)))
    _show(terminal, reports)  # before the files: a full disk shall not take the answers with it
    if output is not None:
        from slimvec.probes.page import write_probe_reports

        write_probe_reports(output, reports, force=force)
        terminal.print(f"report: {output / 'report.html'}")
    first, *others = map(_described, reports)
    return {**first, "against": others[0] if others else None, "output": output}


def _run(
    terminal: Terminal,
    model: "EvaluatedModel",
    probes: "Sequence[Probe]",
    config: "ProbeConfig",
    store: "VectorStore | None",
) -> "ProbeReport":
    """Run the probes, with their progress in tokens as far as these are known beforehand."""
    from dataclasses import replace

    from slimvec.probes.run import run_probes

    with terminal.task(f"probing {model.card.name}", total=1.0) as task:
        progress = _Progress(task, model.card.name, probes, config.amount)
        return run_probes(
            model,
            probes,
            replace(config, on_progress=progress.embedded),
            store=store,
            on_probe=progress.begin,
            on_result=progress.end,
        )


class _Progress:
    """How far a run of probes is, by the tokens that each of them is known to take."""

    def __init__(self, task: "Task", model: str, probes: "Sequence[Probe]", amount: "Amount") -> None:
        from slimvec.probes.protocol import SHARES

        self._task = task
        self._model = model
        self._drawn = SHARES[amount]
        self._left = {probe.name: PROBES[probe.name] for probe in probes}
        self._now = ""
        self._done = 0
        self._num_texts = 0
        self._texts_before = 0

    def begin(self, probe: "Probe") -> None:
        """Take note of what is run next."""
        self._now = probe.name
        self._texts_before = self._num_texts
        self._task.update(description=f"probing {self._model}: {probe.name}")

    def embedded(self, count: int) -> None:
        """Count texts of the probe that is run."""
        self._num_texts += count
        entry = self._left[self._now]
        share = (self._num_texts - self._texts_before) / (entry.num_texts * self._drawn)
        self._show(min(share, 0.95) * entry.num_tokens)

    def end(self, result: "ProbeResult") -> None:
        """Take note of what is done."""
        entry = self._left.pop(result.probe)
        if self._num_texts > self._texts_before:
            self._done += entry.num_tokens
        self._show(0)

    def _show(self, here: float) -> None:
        """Draw the state; what a probe left out does not count as done."""
        left = sum(entry.num_tokens for entry in self._left.values())
        done = self._done + here
        self._task.update(completed=done / ((self._done + left) or 1), detail=f"{self._num_texts:,} texts")


def _show(terminal: Terminal, reports: "Sequence[ProbeReport]") -> None:
    """Print the main measures as a table, and the answers under it."""
    from slimvec.probes.page import summary_rows

    rows = summary_rows(reports)
    terminal.print(_table(rows, several=len(reports) > 1))
    for probe, model, _, _, _, answer in rows:
        terminal.print(f"{probe}{f', {model}' if len(reports) > 1 else ''}: {answer}")


def _table(rows: "Sequence[tuple[str, ...]]", *, several: bool) -> "Table":
    headings = ("probe", *(["model"] if several else []), "main measure", "value [95% interval]", "baseline")
    cells = [(name, *([model] if several else []), *values) for name, model, *values, _ in rows]
    return table(headings, cells, left=len(headings))


def _described(report: "ProbeReport") -> Result:
    """Give what the JSON holds of a model's report."""
    readings = {}
    for result in report.readings:
        measures = {measure.name: interval(measure, "unit", "baseline") for measure in result.measures}
        readings[result.probe] = named(result, ("answer", "skipped", "seconds")) | {"measures": measures}
    return {"readings": readings, "model": report.model}
