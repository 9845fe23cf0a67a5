"""Scores of embedding models and of BM25, with intervals."""
