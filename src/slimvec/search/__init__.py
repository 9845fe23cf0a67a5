"""Search over a user's own documents: an index in LanceDB, kept up to date, and hybrid search over it."""
