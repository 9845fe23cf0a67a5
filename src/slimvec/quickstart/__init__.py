"""What the quickstart is made of: its documents, its questions, how much fits the time, and its recipe."""
