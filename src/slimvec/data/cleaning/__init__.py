"""Records in, the good ones out, and a count of what was left out and why."""
