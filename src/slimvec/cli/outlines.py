"""The outline of a recipe as people read it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimvec.training.batches.sources import SourceRecord
    from slimvec.training.run.outline import Outline, SourceOutline, StageOutline


def outline_lines(outline: "Outline") -> list[str]:
    """Write an outline: the base, each stage with its sources, and what is missing."""
    found = outline.base_found or "not on this machine, would be fetched"
    lines = [f"base {outline.base}: {found}"]
    for number, stage in enumerate(outline.stages, start=1):
        lines += _stage_lines(stage, number)
    if outline.missing:
        lines.append(f"missing: {len(outline.missing)} files of data")
        lines += [f"  {path}" for path in outline.missing]
    return lines


def unread_remarks(sources: "Iterable[SourceOutline | SourceRecord]") -> list[str]:
    """Name the columns of each file that were not read; a file that several stages read is named once."""
    from slimvec.data.bad_rows import unread_lines

    return unread_lines({source.path: source.unread for source in sources})


def _stage_lines(stage: "StageOutline", number: int) -> Iterator[str]:
    """Write a stage."""
    attention = f"{stage.attention} attention" if stage.attention else "the base's attention"
    name = f"stage {number}, {stage.name}" if stage.name else "the run"
    held = f", {stage.num_held_out:,} records held out" if stage.num_held_out else ""
    yield f"{name}: {stage.objective}, {stage.tuning}, {attention}, {_length(stage)}{held}"
    if stage.filling is not None:
        yield f"  {stage.filling}"
    for source in stage.sources:
        yield f"  {source.path}: {_state(source)}"


def _length(stage: "StageOutline") -> str:
    """Say how long a stage lasts."""
    if stage.max_minutes is not None:
        return f"{stage.max_minutes:g} minutes"
    if stage.tokens is not None:
        return f"{stage.tokens:,} tokens"
    if stage.steps is not None:
        return f"{stage.steps:,} steps"
    missing = stage.num_held_out is None
    return "steps not known without the data" if missing else "steps not known before its texts are tokenized"


def _state(source: "SourceOutline") -> str:
    """Say what there is of a source."""
    if source.num_records is not None:
        return f"{source.num_records:,} records"
    return {None: "on the hub", True: "there", False: "missing"}[source.present]
