"""Probes: what a model sees of a text, each as a number with an interval and a baseline that gives it meaning."""
