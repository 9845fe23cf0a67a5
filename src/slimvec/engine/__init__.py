"""What users hold: the embedder, and the fast paths under it."""
