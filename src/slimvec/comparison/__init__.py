"""Comparisons: one base recipe, factors varied, all else equal; and the report."""
