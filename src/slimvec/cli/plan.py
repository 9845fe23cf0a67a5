"""`slimvec plan`: what a recipe will need, before it is run."""

from pathlib import Path

from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.training import tell_unread
from slimvec.reports.amounts import parse_size

KEYS = {
    "stages": "by stage: name, parameters, trainable parameters, tokens and seconds a step, bytes by purpose; filling: "
    "pairs a step and negatives a pair, or queries and targets a step, null without the data and for texts; uncounted: "
    "what none of these holds, in words; sources: "
    "num_records and unread columns; with --memory the micro_batch_tokens and graph_tokens that fit",
    "fits": "with --memory: whether every stage fits as the recipe stands; null without",
}


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
        terminal.print(*predicted.lines(stage.name, outline.filling, memory=limit))
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
