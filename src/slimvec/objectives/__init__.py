"""Losses as pure functions on embeddings."""
