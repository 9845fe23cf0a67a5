"""Text on its way to a model: prompts, tokens, packed batches."""
