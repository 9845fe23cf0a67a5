"""The training loop: recipes, schedule, checkpoints."""
