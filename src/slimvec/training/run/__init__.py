"""A whole run: stages, the loop over steps, checkpoints, evaluation, and what is told meanwhile."""
