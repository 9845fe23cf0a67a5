"""Holding the texts of a file against what a model's tokenizer can read, before they are embedded."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slimvec.cli.terminal import Result, Terminal
from slimvec.data.texts import read_items

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

OnLowCoverage = Literal["refuse", "warn"]


def check_input_coverage(
    terminal: Terminal,
    embedder: "Embedder",
    path: Path,
    *,
    field: str,
    min_coverage: float | None,
    on_low_coverage: OnLowCoverage,
) -> Result | None:
    """Hold the texts of a file against a limit.

    Args:
        terminal: Warns of texts below the limit.
        embedder: The model.
        path: A file that `read_items` reads.
        field: Field of the texts in it.
        min_coverage: Share of each text's characters that shall come back from its tokens; None asks for nothing.
        on_low_coverage: Refuse texts below the limit, or tell of them.

    Returns:
        What was found; None where nothing was asked.

    Raises:
        InputError: a text is below the limit and shall be refused; the worst is named with its place and script.
    """
    if min_coverage is None:
        return None
    from slimvec.engine.coverage import check_texts

    items = ((item.place, item.text) for item in read_items(path, field=field))
    with terminal.task(f"checking that the tokenizer reads {path}"):
        check = check_texts(embedder.tokenizer, items, min_coverage=min_coverage)
    if check.num_low and on_low_coverage == "refuse":
        raise check.error(
            "choose a model that reads the script (slimvec tokenizers shows which does), or pass --on-low-coverage warn"
        )
    if check.num_low:
        terminal.remark(check.found)
    return {
        "min": check.min_coverage,
        "lowest": check.lowest,
        "place": check.place,
        "num_low": check.num_low,
        "piece_share": check.piece_share,
    }
