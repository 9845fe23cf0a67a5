"""Training records, retrieval sets, and the readers and corpora they come from."""
