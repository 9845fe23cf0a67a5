"""What every search needs: words by script, BM25, the best of many scores, and metrics of a ranking."""
