"""What a run of the tests skipped, and why, for machines: `build/skipped.json`, and one line at the end of the run.

A suite that is green because half of it was skipped looks like one that passed. So which tests need a processor, a
compiler or a GPU that is not there is written down, by reason.
"""

import json
from pathlib import Path

import pytest

PATH = "build/skipped.json"


class SkipList:
    """A plugin that keeps the reports of skipped tests. With several processes only the first has it.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        self.reasons.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reasons = [{"reason": reason, "tests": sorted(tests)} for reason, tests in sorted(self.reasons.items())]
        count = sum(len(tests) for tests in self.reasons.values())
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps({"num_skipped": count, "reasons": reasons}, indent=2) + "\n", encoding="utf-8")
        terminalreporter.write_line(f"{count} tests skipped for {len(reasons)} reasons: {PATH}")
