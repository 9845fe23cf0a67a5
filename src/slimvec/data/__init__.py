"""Records and where they come from: schema, readers, corpora."""
