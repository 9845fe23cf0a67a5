"""Scores with their intervals, beside a lexical baseline."""
