"""Readers: from a file to its documents, by the ending of its name."""
