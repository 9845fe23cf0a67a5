"""A collapse of the vectors: all texts come to point the same way, and no loss brings them apart again.

The measure is the mean cosine of queries with the positives of others in their batch. Raw causal models begin at 0.8
to 0.9, some above 0.98, so its height alone says nothing: a step counts when it is above a limit and nearer to 1 than
halfway from where the run began. The run ends after many such steps in a row, warm-up left out.
"""

from slimvec.errors import TrainingError
from slimvec.training.recipe import Recipe
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.schedule import Span


def watch_collapse(progress: Progress, cosine: float | None, span: Span, recipe: Recipe) -> Progress:
    """Count a step.

    Args:
        progress: With the counts so far.
        cosine: Mean cosine of texts that do not belong together; None for steps without pairs.
        span: Span of the step.
        recipe: Limit and patience.

    Returns:
        The progress with the counts after the step.

    Raises:
        TrainingError: the vectors have collapsed.
    """
    if cosine is None:
        return progress
    start = cosine if progress.first_cosine is None else progress.first_cosine
    limit = max(recipe.run.collapse_limit, (1 + start) / 2)
    counts = cosine > limit and span.start >= recipe.optim.warmup and recipe.run.collapse_limit < 1
    collapsed = progress.collapsed + 1 if counts else 0
    if collapsed >= recipe.run.collapse_steps:
        raise TrainingError(
            f"the vectors have collapsed: in the last {collapsed} steps texts that do not belong together had a mean "
            f"cosine above {limit:.3f} ({cosine:.4f} at step {progress.step + 1}, {start:.3f} at the start)",
            expected=f"at most run.collapse_limit ({recipe.run.collapse_limit:g})",
            do=f"lower optim.lr ({recipe.optim.lr:g}) or loss.temperature ({recipe.loss.temperature:g})",
        )
    return progress.model_copy(update={"first_cosine": start, "collapsed": collapsed})
