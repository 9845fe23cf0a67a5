"""Search over a corpus that need not fit in memory, and hard negatives chosen from what it finds."""
