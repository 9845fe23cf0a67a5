"""`slimvec plan`: what a recipe will need, before it is run."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.training import tell_unread
from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.training.batches.filling import Filling, TargetFilling
    from slimvec.training.run.forecast import Forecast

KEYS = {
    "stages": "by stage: name, parameters, trainable parameters, tokens and seconds a step, bytes by purpose; filling: "
    "pairs a step and negatives a pair, or queries and targets a step, null without the data and for texts; uncounted: "
    "what none of these holds, in words; sources: "
    "num_records and unread columns; with --memory the micro_batch_tokens and graph_tokens that fit",
    "fits": "with --memory: whether every stage fits as the recipe stands; null without",
}
_UNITS = ("", "K", "M", "G", "T")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE)


def plan(
    terminal: Terminal,
    *,
    recipe: Path,
    overrides: list[str] | None = None,
    memory: str | None = None,
    processes: int = 1,
    config: Path | None = None,
) -> Result:
    """Predict memory and time of a training, and propose sizes that fit.

    No weights are read. Texts are taken to be as long as the recipe lets them be, so real steps need at most what is
    said. Time is measured on one layer, on this machine. Data that is on this machine is read for the pairs and
    negatives of a step, or its queries and targets; where most steps would teach nothing, that is the answer.

    Positional:
        recipe RECIPE: A recipe in YAML.
        overrides SECTION.KEY=VALUE: Settings that replace the recipe's, as in batch.pairs=512.

    Options:
        memory SIZE: Memory of one process, as in 24GB; sizes that fit are proposed.
        processes N (from 1): Processes that share each batch.
        config DIR: Folder with the base's config.json, if it is not here.
    """
    from slimvec.training.recipe.reading import read_recipe

    settings = read_recipe(recipe, overrides or ())
    limit = None if memory is None else parse_size(memory)
    with terminal.task("reading the data"):
        from slimvec.training.run.outline import outline_stage

        outlines = [outline_stage(stage) for stage in settings.stage_recipes()]
    with terminal.task("measuring a layer"):
        from slimvec.training.run.forecast import base_config, forecast

        shape = base_config(settings.base, config=config)
        found = [
            (stage, forecast(stage.recipe, shape, memory=limit, num_processes=processes))
            for stage in settings.stage_recipes()
        ]
    tell_unread(terminal, (source for outline in outlines for source in outline.sources))
    for outline, (stage, predicted) in zip(outlines, found, strict=True):
        terminal.print(*_lines(stage.name, predicted, outline.filling, limit))
    return {
        "stages": [
            {
                "name": stage.name,
                **dict(predicted),
                "total_bytes": predicted.total_bytes,
                "filling": outline.filling,
                "sources": outline.sources,
            }
            for outline, (stage, predicted) in zip(outlines, found, strict=True)
        ],
        "fits": None if limit is None else all(predicted.total_bytes <= limit for _, predicted in found),
    }


def parse_size(text: str) -> int:
    """Read a size in bytes: `24GB`, `8 GiB`, `512M`.

    Raises:
        InputError: something else.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InputError(f"memory {text!r}", expected="a size such as 24GB or 16GiB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _UNITS.index(unit.upper()))


def _lines(name: str, found: "Forecast", filling: "Filling | TargetFilling | None", limit: int | None) -> list[str]:
    """Write a forecast for people."""
    title = f"stage {name}: " if name else ""
    twice = "" if found.keeps_graph else ", computed twice (gradient cache)"
    parts = ", ".join(f"{purpose} {_size(size)}" for purpose, size in found.bytes.items() if size)
    lines = [
        f"{title}{found.num_parameters:,} parameters, {found.num_trained:,} trained",
        f"a step: at most {found.tokens_per_step:,} tokens{twice}, {found.seconds_per_step:,.1f} s on this machine",
        *([] if filling is None else [str(filling)]),
        f"memory: {_size(found.total_bytes)} ({parts})",
        *([f"not counted: {'; '.join(found.uncounted)}"] if found.uncounted else []),
    ]
    return lines if limit is None else [*lines, _advice(found, limit)]


def _advice(found: "Forecast", limit: int) -> str:
    """Say what fits."""
    if found.micro_batch_tokens is None:
        return (
            f"{_size(limit)} are not enough for any piece; try batch.gradient_checkpointing=true, shorter texts, LoRA, "
            "or run.shard=true over several processes"
        )
    fits = "fits" if found.total_bytes <= limit else "does not fit"
    sizes: dict[str, Any] = {"micro_batch_tokens": found.micro_batch_tokens, "graph_tokens": found.graph_tokens}
    return f"the recipe {fits} {_size(limit)}; " + " ".join(
        f"batch.{key}={value}" for key, value in sizes.items() if value is not None
    )


def _size(size: int) -> str:
    """Write bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
