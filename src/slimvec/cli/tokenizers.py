"""`slimvec tokenizers`: what tokenizers can read, side by side, without their models."""

from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.options import Amount
from slimvec.cli.scores import interval
from slimvec.cli.tables import table
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError

if TYPE_CHECKING:
    import tokenizers as library

    from slimvec.probes.coverage.comparison import TokenizerReport

KEYS = {
    "tokenizers": "name, vocabulary and sha256 of each",
    "measures": "by name (figure/tokenizer/script or language): value, low, high (95% interval), unit",
    "answer": "what came out, in sentences",
    "output": "folder of the report; null without --output",
}
_SHOWN = 3


def tokenizers(
    terminal: Terminal,
    *,
    sources: list[str],
    data: Path | None = None,
    text_file: Path | None = None,
    amount: Amount = "full",
    seed: int = 0,
    output: Path | None = None,
    force: bool = False,
) -> Result:
    """Compare what tokenizers can read: by script and language, with 95% intervals. No weights are loaded.

    On the same sentences in many languages (--data), on texts of your own (--text-file), or, with neither, on
    characters of every script: how much comes back from the tokens, how many tokens it takes against English, how many
    of them are not whole characters, and how much text fits in 512 of them.

    Positional:
        sources MODEL...: Models, as for --model elsewhere, or files like tokenizer.json.

    Options:
        data -d: Folder with sib200: the same sentences in 205 languages.
        text_file: Texts of your own: .txt (one a line), .jsonl, .jsonl.gz or .parquet.
        amount: How many sentences are drawn; full is all 204.
        seed (from 0): Random seed for what is drawn and for the intervals.
        output -o: Folder for the report: HTML, Markdown with plots, JSON.
    """
    terminal.reserve(output, force=force)
    if data is not None and not (data / "sib200").is_dir():
        raise InputError(f"{data} has no folder sib200", expected="the same sentences in many languages there")
    backends = _open(terminal, sources)
    with terminal.task("reading with each tokenizer"):
        from slimvec.probes.coverage.comparison import compare_tokenizers, write_report
        from slimvec.probes.protocol import ProbeConfig

        config = ProbeConfig(data=data, seed=seed, amount=amount, text_file=text_file)
        report = compare_tokenizers(backends, config)
        if output is not None:
            write_report(output, report, force=force)
    _tell(terminal, report, output)
    return {
        "tokenizers": report.tokenizers,
        "measures": {measure.name: interval(measure, "unit") for measure in report.reading.measures},
        "answer": report.reading.answer,
        "output": output,
    }


def _open(terminal: Terminal, sources: list[str]) -> "dict[str, library.Tokenizer]":
    """Open tokenizers, by the names they are shown by.

    Raises:
        InputError: one is named twice.
    """
    names = [_short_name(source) for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two tokenizers are called {twice!r}", expected="different names of files or folders")
    found: dict[str, library.Tokenizer] = {}
    for name, source in zip(names, sources, strict=True):
        with terminal.task(f"opening {source}") as task:
            from slimvec.model.tokenizer_sources import open_tokenizer

            found[name] = open_tokenizer(source, progress=task.share)
    return found


def _short_name(source: str) -> str:
    """What a source is called in tables: a path's last part, or of `tokenizer.json` its folder; a name as it is."""
    path = Path(source).expanduser()
    if not path.exists():
        return source
    path = path.resolve()
    if path.name == "tokenizer.json":
        return path.parent.name
    return path.stem if path.is_file() else path.name


def _tell(terminal: Terminal, report: "TokenizerReport", output: Path | None) -> None:
    """Show the answer and the main tables."""
    terminal.print(report.reading.answer)
    for found in report.reading.tables[:_SHOWN]:
        terminal.print(table(found.header, found.rows, title=found.title, ruled=False))
    if output is not None:
        terminal.print(f"{output}: report.html, report.md, report.json and plots")
